"""What every test may ask for."""

import contextlib
import gc
import json
import multiprocessing
import os
import pickle
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import jaxtyping
import pytest

# Before torch is imported: the processes of the tests share the cores already.
os.environ.setdefault("OMP_NUM_THREADS", "1")

_RANK_SCRIPT = Path(__file__).with_name("one_rank.py")
_PATIENCE = 600.0  # seconds; a machine with many times its load is slow, not broken
_IMPORTED_BY_RANKS = ["torch.distributed.nn", "pytest", "hypothesis", "sklearn.metrics"]
_IMPORTED_BY_RANKS += [
    f"ranklight.{room}" for room in ("losses", "miners", "commands.lightning_cli")
]


def pytest_collection_finish() -> None:
    """What is imported by now stays: the collector need not look at it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _ctrl_c_is_heard() -> Iterator[None]:
    """A trainer that was interrupted leaves Ctrl-C ignored, for this process and its children."""
    yield
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def run_on_ranks(tmp_path: Path) -> Callable[..., list[Any]]:
    """`run_on_ranks(function, world_size, *args)` -> what `function(*args)` returned on each rank.

    Every rank is a process of its own in one gloo group. The function stands at the top level of
    the test's file; it reads its rank from `torch.distributed`. Arguments and results are pickled.
    The ranks fork from a server that has imported what they need and done nothing else, so a call
    costs well under a second, and no rank inherits threads from the test.
    """
    calls = _numbered(tmp_path)

    def run(
        function: Callable[..., Any], world_size: int, *args: Any, timeout: float = _PATIENCE
    ) -> list[Any]:
        return _run_on_ranks(function, world_size, args, next(calls), timeout)

    return run


class Command:
    """A `ranklight` command that runs as a process of its own."""

    def __init__(self, pid: int, log: Path) -> None:
        self.pid = pid
        self.log = log

    def send(self, number: int) -> None:
        """A signal."""
        os.kill(self.pid, number)

    def running(self) -> bool:
        return not Path(f"{self.log}.exit").exists()

    def wait(self, timeout: float = _PATIENCE) -> int:
        """Its exit code; minus the number of the signal that killed it."""
        deadline = time.monotonic() + timeout
        while self.running():
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                pytest.fail(f"still running after {timeout} s:\n{self.said()}", pytrace=False)
            time.sleep(0.01)
        return int(Path(f"{self.log}.exit").read_text())

    def succeed(self) -> str:
        """Wait for its end, which must be a good one; what it said."""
        code = self.wait()
        if code:
            pytest.fail(f"exit code {code}:\n{self.said()}", pytrace=False)
        return self.said()

    def said(self) -> str:
        return self.log.read_text()


@pytest.fixture(scope="session")
def start_command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """`start_command(*arguments, ranks=1)` -> one `Command` a rank, launched as torchrun does."""
    logs = _numbered(tmp_path_factory.mktemp("commands"))
    server = subprocess.Popen(
        [sys.executable, "-P", str(Path(__file__).with_name("command_server.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    started: list[Command] = []

    def start(*arguments: str, ranks: int = 1) -> list[Command]:
        folder, environment = next(logs), _group(ranks)
        for rank in range(ranks):
            own = {"RANK": str(rank), "LOCAL_RANK": str(rank)} if ranks > 1 else {}
            log = folder / f"rank_{rank}.log"
            call = {"arguments": arguments, "environment": {**environment, **own}, "log": str(log)}
            assert server.stdin is not None
            assert server.stdout is not None
            server.stdin.write(json.dumps(call) + "\n")
            server.stdin.flush()
            started.append(Command(int(server.stdout.readline()), log))
        return started[-ranks:]

    yield start
    for command in started:
        if command.running():
            command.send(signal.SIGKILL)
    server.kill()
    server.wait()


def _group(ranks: int) -> dict[str, str]:
    if ranks == 1:
        return {}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return {
        "WORLD_SIZE": str(ranks),
        "LOCAL_WORLD_SIZE": str(ranks),
        "GROUP_RANK": "0",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_RUN_ID": "tests",
        **({"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {}),
    }


@pytest.fixture(scope="session")
def once() -> Callable[..., Any]:
    """`once(function)` -> the same function, called once for each of its arguments.

    Who asks for a call that failed before is skipped with its reason, instead of failing again.
    """

    def remember(function: Callable[..., Any]) -> Callable[..., Any]:
        results: dict[Any, Any] = {}
        reasons: dict[Any, str] = {}

        def call(*arguments: Any) -> Any:
            if arguments in reasons:
                pytest.skip(f"{function.__name__}{arguments} failed: {reasons[arguments]}")
            if arguments not in results:
                try:
                    results[arguments] = function(*arguments)
                except BaseException as error:
                    reasons[arguments] = str(error)
                    raise
            return results[arguments]

        return call

    return remember


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Without the tests' checks of shapes and types, as in a run: what our own checks say."""
    with _as_in_a_run():
        yield


@pytest.fixture(scope="module")
def as_in_a_run() -> Iterator[None]:
    """The same for all tests of a file: they are a quarter of the time of a short run."""
    with _as_in_a_run():
        yield


@contextlib.contextmanager
def _as_in_a_run() -> Iterator[None]:
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)


def _numbered(folder: Path) -> Iterator[Path]:
    for number in range(1000):
        (call := folder / f"ranks_{number}").mkdir()
        yield call


def _run_on_ranks(
    function: Callable[..., Any], world_size: int, args: Any, folder: Path, timeout: float
) -> list[Any]:
    if "." in function.__qualname__:
        raise ValueError(f"{function.__qualname__} must stand at the top level of the test's file")
    (folder / "args").write_bytes(pickle.dumps(args))
    call = {
        "path": function.__code__.co_filename,
        "module": function.__module__,
        "name": function.__name__,
        "folder": str(folder),
        "world_size": world_size,
        "timeout": timeout,
    }
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED_BY_RANKS)
    ranks = [
        context.Process(
            target=runpy.run_path,
            args=(str(_RANK_SCRIPT), {"CALL": call | {"rank": rank}}, "one_rank"),
            daemon=True,
        )
        for rank in range(world_size)
    ]
    for process in ranks:
        process.start()
    _wait(ranks, folder, timeout)
    return [pickle.loads((folder / f"result_{rank}").read_bytes()) for rank in range(world_size)]


def _wait(ranks: list[BaseProcess], folder: Path, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    try:
        while any(process.is_alive() for process in ranks) and time.monotonic() < deadline:
            if any(process.exitcode for process in ranks):
                time.sleep(0.5)
                break
            time.sleep(0.005)
    finally:
        late = [rank for rank, process in enumerate(ranks) if process.exitcode is None]
        for process in ranks:
            process.kill()
            process.join()
    failures = [path.read_text() for path in sorted(folder.glob("error_*"))]
    if failures:
        pytest.fail("\n".join(failures), pytrace=False)
    if late:
        pytest.fail(f"ranks {late} were still running after {timeout} s", pytrace=False)
    if codes := [process.exitcode for process in ranks if process.exitcode]:
        pytest.fail(f"ranks ended with exit codes {codes}", pytrace=False)
