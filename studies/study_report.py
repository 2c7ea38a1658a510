"""What a study found: one table, and the files that it can be checked by."""

import csv
import io
import json
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from rich.table import Table

from ranklight.files.markdown import table_lines
from ranklight.files.writing import write_whole
from ranklight.studies.best_of_n import expected_best_of_n
from ranklight.studies.final_runs import TestScores
from ranklight.studies.intervals import rounded, student_interval
from ranklight.studies.trials import Search, mean_of_folds

_TRIALS = ("arm", "trial", "state", "mean", "folds", "setting", "reason")


def write_search(search: Search) -> None:
    """Write `trials.csv`, `best_of_n.csv` and `best_of_n.png`: what the search saw."""
    directory = search.runs.directory
    write_whole(directory / "trials.csv", _csv(_TRIALS, _trials(search)))
    curves = {
        arm.name: expected_best_of_n(means, search.runs.mode)
        for arm in search.arms
        if (means := _means(search, search.of(arm)))
    }
    rows = ((arm, n, best) for arm, curve in curves.items() for n, best in enumerate(curve, 1))
    write_whole(directory / "best_of_n.csv", _csv(("arm", "n", search.runs.metric), rows))
    write_whole(directory / "best_of_n.png", _picture(curves, search.runs.metric))


def results(search: Search, tested: TestScores, metrics: Sequence[str]) -> Table:
    """The table of the study, which is written to `results.md` as well.

    Args:
        search: What was searched.
        tested: The scores of the final runs.
        metrics: Which of them to show, as logged.

    Raises:
        ValueError: A metric that test did not log; names those that it did.
    """
    header = ["arm", "trials", "chosen", f"{search.runs.metric} of folds", "seeds", *metrics]
    rows = [
        [arm.name, *_of_search(search, search.of(arm), search.best(arm))]
        + [str(len(tested[arm.name]))]
        + [_interval(tested[arm.name].values(), metric) for metric in metrics]
        for arm in search.arms
    ]
    lines = table_lines(header, rows)
    write_whole(search.runs.directory / "results.md", "".join(f"{line}\n" for line in lines))
    table = Table(*header)
    for row in rows:
        table.add_row(*row)
    return table


def _of_search(search: Search, trials: Sequence[FrozenTrial], best: FrozenTrial) -> list[str]:
    words = str(len(trials))
    for state, word in ((TrialState.PRUNED, "pruned"), (TrialState.FAIL, "failed")):
        if count := sum(trial.state == state for trial in trials):
            words += f", {count} {word}"
    return [words, f"trial {best.number}", rounded(mean_of_folds(best))]


def _interval(runs: Any, metric: str) -> str:
    for scores in runs:
        if metric not in scores:
            raise ValueError(f"test has no {metric}; it has {', '.join(sorted(scores))}")
    return str(student_interval([scores[metric] for scores in runs]))


def _trials(search: Search) -> Iterator[tuple[object, ...]]:
    for arm in search.arms:
        for trial in search.of(arm):
            scores = trial.user_attrs.get("scores", [])
            mean = statistics.fmean(scores) if scores else ""
            setting = search.values(arm, trial)
            reason = trial.user_attrs.get("reason", "")
            state = trial.state.name.lower()
            yield arm.name, trial.number, state, mean, *map(json.dumps, (scores, setting)), reason


def _means(search: Search, trials: Sequence[FrozenTrial]) -> list[float]:
    """A pruned trial's is that of its folds so far; a failed one is as bad as the worst."""
    means = [statistics.fmean(scores) for t in trials if (scores := t.user_attrs.get("scores"))]
    worst = (min if search.runs.mode == "max" else max)(means, default=0.0)
    return means + [worst] * (len(trials) - len(means)) if means else []


def _csv(header: Sequence[str], rows: Iterator[tuple[object, ...]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def _picture(curves: dict[str, list[float]], metric: str) -> bytes:
    # Here, since the rest of a study draws nothing.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    for arm, curve in curves.items():
        axes.plot(range(1, len(curve) + 1), curve, marker=".", label=arm)
    axes.set(xlabel="trials", ylabel=f"expected best {metric}")
    axes.grid(alpha=0.3)
    axes.legend()
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    return picture.getvalue()
