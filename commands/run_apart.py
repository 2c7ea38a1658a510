"""A command in a process of its own, without the seconds that importing takes."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

_GRACE_SECONDS = 60.0
# The last two are of evaluations: a run imports them when it comes to one.
_IMPORTED = ["ranklight.commands.lightning_cli", "sklearn.datasets", "pyarrow.parquet"]


def run_apart(arguments: Sequence[str], log: Path) -> int:
    """Run `ranklight <arguments>`; what leaks, fails or is killed there, does so there alone.

    A server that has imported everything, and computed nothing, forks it. It saves and ends when
    this process is killed, or interrupted.

    Args:
        arguments: The verb and its words.
        log: What the command writes is added to this file.

    Returns:
        The exit status; of a signal its negative.
    """
    apart = multiprocessing.get_context("forkserver")
    apart.set_forkserver_preload(_IMPORTED)
    log.parent.mkdir(parents=True, exist_ok=True)
    process = apart.Process(target=_run, args=(list(arguments), log))
    process.start()
    try:
        process.join()
    except BaseException:
        process.terminate()
        process.join()
        raise
    assert process.exitcode is not None
    return process.exitcode


def _run(arguments: list[str], log: Path) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with log.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    # Lightning starts other ranks by the first word.
    sys.argv = [sys.argv[0], *arguments]
    from ranklight.__main__ import main

    main()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_SECONDS)
    os._exit(1)
