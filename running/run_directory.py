"""Where a run lives: one run, one directory."""

import os
from datetime import datetime, timedelta
from pathlib import Path

from torch.distributed import TCPStore  # type: ignore[attr-defined]

_INHERITED = "RANKLIGHT_RUN"


def new_run(root: Path, experiment: str, name: str | None = None) -> Path:
    """Directory of a run that starts now; nothing is created yet.

    All ranks find the same directory: those that this process starts by an environment variable,
    those of torchrun by its store, those of SLURM by the job's number. A run that was stopped
    before it saved anything may be started again.

    Args:
        root: Directory of all experiments.
        experiment: Name of the experiment.
        name: Name of the run; default: the time.

    Raises:
        FileExistsError: There is a run of this name already.
    """
    inherited = os.environ.get(_INHERITED)
    if inherited is not None:
        return Path(inherited)
    run = root / experiment / (name or _name_for_all_ranks(root / experiment))
    if any((run / "checkpoints").glob("*.ckpt")):
        raise FileExistsError(
            f"there is a run {run} already: give another --run, continue it by --ckpt_path last, "
            "or remove it"
        )
    os.environ[_INHERITED] = str(run)
    return run


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
        FileNotFoundError: The run has none of this name; says which it has.
    """
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


def _name_for_all_ranks(experiment: Path) -> str:
    environment = os.environ
    if int(environment.get("SLURM_NTASKS", "1")) > 1 and "SLURM_PROCID" in environment:
        return f"slurm-{environment['SLURM_JOB_ID']}-{environment.get('SLURM_STEP_ID', '0')}"
    if environment.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return _unused_time(experiment)
    host, port = environment["MASTER_ADDR"], int(environment["MASTER_PORT"])
    store = TCPStore(host, port, is_master=False, timeout=timedelta(minutes=5))
    key = f"ranklight/run/{environment.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    if environment["RANK"] == "0":
        store.set(key, _unused_time(experiment))
    return str(store.get(key).decode())


def _unused_time(experiment: Path) -> str:
    now = datetime.now().strftime("%Y%m%d-%H%M%S")
    taken = {path.name for path in experiment.glob(f"{now}*")}
    return next(
        name for name in (now, *(f"{now}-{again}" for again in range(2, 1000))) if name not in taken
    )


def _below_here(path: Path) -> bool:
    return path.resolve().is_relative_to(Path.cwd())
