"""Where runs are read from."""

from collections.abc import Sequence
from pathlib import Path

from ranklight.studies.results_file import read_results_file
from ranklight.studies.run_directories import read_run_directories
from ranklight.studies.run_scores import Found
from ranklight.studies.wandb_runs import read_wandb


def read_sources(
    where: Sequence[str], wandb: Sequence[str], metrics: Sequence[str] | None
) -> Found:
    """The runs of directories, of CSVs and of W&B.

    Args:
        where: Directories of runs; files that end in .csv.
        wandb: wandb:ENTITY/PROJECT, or directories of offline W&B runs.
        metrics: Which a run must have to count; None: every score of its test.

    Raises:
        FileNotFoundError: There is nothing at one of them.
        ValueError: A file is not what it should be.
    """
    files = [place for place in where if Path(place).suffix == ".csv"]
    directories = [place for place in where if place not in files]
    found = [read_results_file(Path(file), metrics) for file in files]
    found += [read_wandb(source, metrics) for source in wandb]
    if directories:
        found.append(read_run_directories(directories, metrics))
    runs = [run for of in found for run in of.runs]
    return Found(runs, {run: why for of in found for run, why in of.left_out.items()})
