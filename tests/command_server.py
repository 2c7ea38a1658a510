"""Runs `ranklight` commands as processes of their own, forked from one that has imported it all.

Reads a JSON line {"arguments", "environment", "log"} for each, answers with its process id, and
leaves its exit code in `log`.exit when it ends. Importing costs seconds, a fork does not.
"""

import json
import os
import select
import signal
import sys
from pathlib import Path

import sklearn.manifold  # noqa: F401
import torch.distributed.nn  # noqa: F401

import ranklight.commands.lightning_cli  # noqa: F401
from ranklight.__main__ import main


def serve() -> None:
    logs: dict[int, Path] = {}
    while True:
        if select.select([sys.stdin], [], [], 0.01)[0]:
            line = sys.stdin.readline()
            if not line:
                return
            call = json.loads(line)
            pid = os.fork()
            if pid == 0:
                become(call)
            logs[pid] = Path(call["log"])
            print(pid, flush=True)
        if logs:
            reap(logs)


def become(call: dict) -> None:
    log = os.open(call["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.update(call["environment"])
    # A test before may have left Ctrl-C ignored, which processes inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["ranklight", *call["arguments"]]
    code = 1
    try:
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def reap(logs: dict[int, Path]) -> None:
    pid, status = os.waitpid(-1, os.WNOHANG)
    if pid in logs:
        path = logs.pop(pid)
        part = path.with_suffix(".part")
        part.write_text(str(os.waitstatus_to_exitcode(status)))
        part.rename(f"{path}.exit")


if __name__ == "__main__":
    serve()
