"""Which run a command belongs to, and which checkpoint it takes."""

from pathlib import Path

from jsonargparse import Namespace
from pytorch_lightning.utilities import rank_zero_info

from ranklight.running.checkpoint_io import newest_whole
from ranklight.running.run_directory import (
    claim,
    find_checkpoint,
    latest_run,
    new_run,
    run_of_checkpoint,
    run_of_config,
)


def which_run(config: Namespace, command: str) -> tuple[Path, str | None]:
    """The run, claimed for this process, and the file of the checkpoint.

    `best` and `last` are those of `--run`, else of the run whose config.yaml is given, else of
    the latest. A checkpoint's file belongs to the run that it lies in; with another `--run`, a new
    run of this name starts from it, for trying two continuations of one beginning is what such a
    command can only mean.

    Args:
        config: Of the command.
        command: Its name.

    Raises:
        ValueError: A command that scores got no checkpoint.
        FileNotFoundError: There is no such run or checkpoint.
    """
    given = [run_of_config(Path(str(file))) for file in config.config or []]
    named = next((run for run in reversed(given) if run is not None), None)
    root = Path(config.runs or _root_of(named, config.experiment))
    checkpoint = config.ckpt_path
    if checkpoint is None:
        if command != "fit" and not (config.allow_untrained or config.zero_shot):
            raise ValueError(
                f"{command} needs trained weights: --ckpt_path best, last or a file (or "
                "--zero_shot true to score a pretrained trunk as it is, --allow_untrained true to "
                "score weights that never learnt)"
            )
        return new_run(root, config.experiment, config.run), None
    if checkpoint in ("best", "last"):
        if config.run or named is None:
            named = _run_by_name(root, config.experiment, config.run)
        file = newest_whole(find_checkpoint(checkpoint, named))
        claim(named)
        return named, str(file)
    return _run_of_file(config, root)


def _run_of_file(config: Namespace, root: Path) -> tuple[Path, str]:
    checkpoint = Path(config.ckpt_path)
    if not checkpoint.is_file():
        raise FileNotFoundError(f"there is no checkpoint {checkpoint}")
    file = str(newest_whole(checkpoint))
    owner = run_of_checkpoint(checkpoint)
    asked = root / config.experiment / config.run if config.run else owner
    if owner is not None and asked is not None and owner.resolve() == asked.resolve():
        claim(owner)
        return owner, file
    run = new_run(root, config.experiment, config.run)
    rank_zero_info(f"the new run {run} starts from {file}")
    return run, file


def _root_of(run: Path | None, experiment: str) -> Path:
    """The directory of all runs: where a given run is, if it lies under its experiment's name."""
    depth = len(Path(experiment).parts)
    if run is None or run.parts[-1 - depth : -1] != Path(experiment).parts:
        return Path("runs")
    return run.parents[depth]


def _run_by_name(root: Path, experiment: str, name: str | None) -> Path:
    return root / experiment / name if name else latest_run(root, experiment)
