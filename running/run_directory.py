"""Where a run lives: one run, one directory, one process that writes into it."""

import fcntl
import os
import socket
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO

from torch.distributed import TCPStore  # type: ignore[attr-defined]

_INHERITED = "RANKLIGHT_RUN"
_LOCK = ".lock"
_held: dict[Path, IO[str]] = {}


def new_run(root: Path, experiment: str, name: str | None = None) -> Path:
    """Make the directory of a run that starts now, and claim it.

    Rank 0 claims and the others hear of it: those that this process starts by an environment
    variable, those of torchrun by its store, those of SLURM by the numbers of array, job and step.
    A run that was stopped before it saved anything may be started again by its name; whether it
    runs still is known by its lock, which the system takes away with the process.

    Args:
        root: Directory of all experiments.
        experiment: Name of the experiment.
        name: Name of the run; default: the time.

    Raises:
        FileExistsError: There is a run of this name already, or another process writes there.
        OSError: The directory cannot be made.
        ValueError: The name is not one of a directory.
    """
    inherited = os.environ.get(_INHERITED)
    if inherited is not None:
        return Path(inherited)
    if name is not None and (name in ("", ".", "..", "latest") or Path(name).name != name):
        raise ValueError(f"--run needs the name of one directory, got {name!r}")
    run = _agree_on(root / experiment, name or _slurm_name())
    os.environ[_INHERITED] = str(run)
    return run


def claim(run: Path) -> None:
    """Be the only one that writes into a run, until this process ends.

    Raises:
        FileExistsError: Another process is; names it.
        OSError: Nothing can be written there.
    """
    run = run.resolve()
    if run in _held or not _is_first_rank() or _INHERITED in os.environ:
        return
    try:
        file = (run / _LOCK).open("a+")
    except OSError as error:
        raise type(error)(f"the run {run} cannot be written to: {error.strerror}") from error
    try:
        # A lock of the process, not of the file as flock's: workers that outlive it hold nothing.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        owner = file.read().strip() or "another process"
        file.close()
        raise FileExistsError(
            f"{owner} writes into the run {run}: wait for its end, or give another --run"
        ) from error
    if not (run / _LOCK).exists() or not os.path.samestat(
        os.fstat(file.fileno()), (run / _LOCK).stat()
    ):
        # The one who held it has just removed it.
        file.close()
        claim(run)
        return
    for said in run.glob(".said-*"):
        said.unlink(missing_ok=True)
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    file.flush()
    _held[run] = file


def release(run: Path) -> None:
    """Let go of a run; a directory in which nothing was written goes, too."""
    if (file := _held.pop(run.resolve(), None)) is None:
        return
    (run / _LOCK).unlink(missing_ok=True)
    file.close()
    # The next command of this process makes a run of its own.
    os.environ.pop(_INHERITED, None)
    if not any(run.iterdir()):
        run.rmdir()


def latest_run(root: Path, experiment: str) -> Path:
    """The run of an experiment that was started last.

    Raises:
        FileNotFoundError: There is none.
    """
    link = root / experiment / "latest"
    if not link.exists():
        raise FileNotFoundError(
            f"no run of {experiment} under {root}: fit it first, or give the path of a checkpoint"
        )
    return link.resolve().relative_to(Path.cwd()) if _below_here(link) else link.resolve()


def mark_latest(run: Path) -> None:
    """Let the link `latest` beside a run point to it."""
    run.mkdir(parents=True, exist_ok=True)
    fresh = run.parent / f".latest-{os.getpid()}"
    fresh.symlink_to(run.name)
    fresh.replace(run.parent / "latest")


def find_checkpoint(which: str, run: Path) -> Path:
    """A checkpoint of a run, by "best" or "last".

    Raises:
        FileNotFoundError: There is no such run, or it has none of this name; says which it has.
    """
    if not run.is_dir():
        raise FileNotFoundError(f"there is no run {run}")
    path = run / "checkpoints" / f"{which}.ckpt"
    if not path.is_file():
        there = sorted(file.name for file in path.parent.glob("*.ckpt"))
        raise FileNotFoundError(
            f"run {run} has no checkpoint {path.name}; it has {', '.join(there) or 'none'}"
        )
    return path


def run_of_checkpoint(checkpoint: Path) -> Path | None:
    """The run that wrote a checkpoint, if it lies in a run directory."""
    run = checkpoint.parent.parent
    return run if checkpoint.parent.name == "checkpoints" else None


def run_of_config(file: Path) -> Path | None:
    """The run whose config.yaml this is, if it lies in a run directory."""
    run = file.resolve().parent
    is_run = any((run / name).exists() for name in ("checkpoints", "run.json", "metrics.csv"))
    return run if file.name == "config.yaml" and is_run else None


def _agree_on(experiment: Path, name: str | None) -> Path:
    environment = os.environ
    if environment.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return _claim_named(experiment, name) if _is_first_rank() or not name else experiment / name
    host, port = environment["MASTER_ADDR"], int(environment["MASTER_PORT"])
    store = TCPStore(host, port, is_master=False, timeout=timedelta(minutes=5))
    key = f"ranklight/run/{environment.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    if _is_first_rank():
        try:
            store.set(key, str(_claim_named(experiment, name)))
        except (OSError, ValueError) as error:
            store.set(key, f"refused: {error}")
            raise
    answer = str(store.get(key).decode())
    if answer.startswith("refused: "):
        raise FileExistsError(answer.removeprefix("refused: "))
    return Path(answer)


def _claim_named(experiment: Path, name: str | None) -> Path:
    try:
        experiment.mkdir(parents=True, exist_ok=True)
        run = experiment / name if name else _make_by_time(experiment)
        run.mkdir(exist_ok=True)
    except OSError as error:
        raise type(error)(
            f"no run can be made in {experiment}: {error.strerror}; --runs names a directory that "
            "can be written to"
        ) from error
    claim(run)
    if any((run / "checkpoints").glob("*.ckpt")):
        release(run)
        raise FileExistsError(
            f"there is a run {run} already: give another --run, continue it by --ckpt_path last, "
            "or remove it"
        )
    return run


def _make_by_time(experiment: Path) -> Path:
    """The directory of a name that nobody has: who makes it first, has it."""
    now = datetime.now().strftime("%Y%m%d-%H%M%S")
    for again in range(1, 1000):
        run = experiment / (now if again == 1 else f"{now}-{again}")
        try:
            run.mkdir()
        except FileExistsError:
            continue
        return run
    raise FileExistsError(17, f"1,000 runs were started at {now}")


def _slurm_name() -> str | None:
    """What all tasks of a job step, and only they, have in common; None for one task alone."""
    environment = os.environ
    if int(environment.get("SLURM_NTASKS", "1")) < 2 or "SLURM_PROCID" not in environment:
        return None
    job = environment["SLURM_JOB_ID"]
    if "SLURM_ARRAY_JOB_ID" in environment:
        job = f"{environment['SLURM_ARRAY_JOB_ID']}_{environment['SLURM_ARRAY_TASK_ID']}"
    return f"slurm-{job}-{environment.get('SLURM_STEP_ID', '0')}"


def _is_first_rank() -> bool:
    for variable in ("RANK", "SLURM_PROCID", "LOCAL_RANK"):
        if variable in os.environ:
            return os.environ[variable] == "0"
    return True


def _below_here(path: Path) -> bool:
    return path.resolve().is_relative_to(Path.cwd())
