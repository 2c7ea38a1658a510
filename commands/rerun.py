"""One seed of a committed table, trained anew."""

import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from ranklight.plain_console import plain_console
from ranklight.studies.intervals import rounded
from ranklight.studies.prediction import prediction_interval
from ranklight.studies.results_file import read_results_file
from ranklight.studies.run_directories import all_test_scores
from ranklight.studies.run_scores import RunScores
from ranklight.studies.sheet import Sheet, screen_table


def rerun_all(files: Sequence[Path]) -> None:
    """Train one seed of each CSV anew; what cannot be trained does not keep the others from it.

    Raises:
        ValueError: Some could not be trained; says why.
    """
    failed = []
    for file in files:
        try:
            rerun(file)
        except (ValueError, FileNotFoundError) as error:
            failed.append(f"{file}: {error}")
            print(f"not trained anew: {failed[-1]}")
    if failed:
        raise ValueError(f"not all were trained anew: {'; '.join(failed)}")


def rerun(file: Path) -> None:
    """Train the first seed of a CSV's first experiment, and print which scores moved.

    A score moved where it is outside of the 95 % prediction interval of the committed seeds.

    Args:
        file: CSV with a row a run.

    Raises:
        ValueError: It has no experiment with two seeds, or the training failed.
    """
    committed = read_results_file(file).runs
    first = next((run for run in committed if run.seed is not None), None)
    if first is None:
        raise ValueError(f"{file} must have a run with a seed, to train it anew")
    runs = [run for run in committed if run.experiment == first.experiment]
    if len(runs) < 2:
        raise ValueError(f"{file} must have two seeds of {first.experiment}, for an interval")
    name = f"rerun-{first.seed}-{datetime.now():%Y%m%d-%H%M%S}"
    words = [*command_of(Path("experiments", f"{first.experiment}.yaml")), "--run", name]
    words += ["--seed_everything", str(first.seed), "--test_after_fit", "true"]
    print(shlex.join(["ranklight", *words]), flush=True)
    if subprocess.run([sys.executable, "-m", "ranklight", *words], check=False).returncode:
        raise ValueError(f"{first.experiment} could not be trained anew, see above")
    scores = all_test_scores(Path("runs", first.experiment, name))
    plain_console().print(screen_table(moved_sheet(first, runs, scores)))


def command_of(experiment: Path) -> list[str]:
    """The words of the command that an experiment opens with, less what a rerun gives itself.

    Raises:
        FileNotFoundError: There is no such experiment here.
        ValueError: It opens with no command.
    """
    opening = experiment.read_text(encoding="utf-8").splitlines()[0]
    program, *words = shlex.split(opening.removeprefix("# "))
    if program != "ranklight" or not words or words[0] != "fit":
        raise ValueError(f"{experiment} must open with its command, # ranklight fit ...; {opening}")
    place = words.index("--test_after_fit") if "--test_after_fit" in words else len(words)
    return [*words[:place], *words[place + 2 :]]


def moved_sheet(first: RunScores, runs: Sequence[RunScores], scores: Mapping[str, float]) -> Sheet:
    """Each committed score beside the new one, and whether it moved.

    Args:
        first: The run that was trained anew.
        runs: The committed runs of its experiment.
        scores: Of the new run.
    """
    rows = []
    for metric in sorted(set(first.scores) & set(scores)):
        low, high = prediction_interval([run.scores[metric] for run in runs])
        # Counts do not vary, and are equal up to the digits that a CSV keeps.
        near = 1e-6 * max(1.0, abs(scores[metric]))
        moved = not low - near <= scores[metric] <= high + near
        interval = f"{rounded(low)} .. {rounded(high)}"
        values = rounded(first.scores[metric]), interval, rounded(scores[metric])
        rows.append([metric, *values, "moved" if moved else ""])
    title = f"{first.experiment}, seed {first.seed}, against {len(runs)} committed runs"
    return Sheet(title, ["metric", "committed", "expected", "now", ""], rows)
