"""Experiments beside each other: the rows of a table, as numbers."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ranklight.studies.holm import holm
from ranklight.studies.intervals import Interval, student_interval
from ranklight.studies.one_split import check_one_split
from ranklight.studies.paired import paired_differences
from ranklight.studies.power import seeds_for
from ranklight.studies.run_scores import LeftOutError, RunScores, value_of

Rows = Mapping[Any, Sequence[RunScores]]


class Difference(NamedTuple):
    """A row minus the base, of one metric.

    Args:
        interval: Of the mean over seeds that both have.
        deviation: Of the difference of a pair of runs; nan for one pair.
        holm: The p-value, adjusted for all rows of the metric.
        seeds: How many pairs would see the difference that was asked about; None over 100,000.
    """

    interval: Interval
    deviation: float
    holm: float = math.nan
    seeds: int | None = None


def group_runs(runs: Sequence[RunScores], key: str | None) -> tuple[Rows, dict[str, str]]:
    """The runs of each experiment, or of each value of a key of their configuration.

    Args:
        runs: Whatever their order.
        key: For example model.init_args.weight; None: the experiment.

    Returns:
        The rows, numbers first and ascending, and the runs that have no such key.
    """
    rows: dict[Any, list[RunScores]] = {}
    left_out = {}
    for run in runs:
        try:
            rows.setdefault(value_of(run, key) if key else run.experiment, []).append(run)
        except LeftOutError as error:
            left_out[run.name] = str(error)
    return {row: rows[row] for row in sorted(rows, key=_numbers_first)}, left_out


def means(rows: Rows, metric: str, queries: bool = False) -> dict[Any, Interval]:
    """The mean of a metric over the runs of each row.

    Args:
        rows: From `group_runs`.
        metric: A logged name.
        queries: Whether the interval is over queries, too.
    """
    return {row: _interval(runs, metric, queries) for row, runs in rows.items()}


def differences(
    rows: Rows, metric: str, base: Any, queries: bool = False, smallest: float | None = None
) -> dict[Any, Difference]:
    """Each row minus the base within a seed, with Holm's correction over the rows.

    Args:
        rows: From `group_runs`.
        metric: A logged name.
        base: Which row.
        queries: Whether the interval is over queries, too.
        smallest: A difference, to say how many seeds would see it.

    Raises:
        ValueError: There is no such base, or seeds are missing, given twice or not shared.
    """
    if base not in rows:
        named = ", ".join(map(str, rows))
        raise ValueError(f"--paired needs one of the rows, {named}; there is no {base}")
    by_seed = {row: _by_seed(row, runs) for row, runs in rows.items()}
    found = {
        row: _difference(runs, by_seed[base], metric, queries, smallest)
        for row, runs in by_seed.items()
        if row != base
    }
    adjusted = holm([difference.interval.p_value for difference in found.values()])
    return {
        row: difference._replace(holm=p)
        for (row, difference), p in zip(found.items(), adjusted, strict=True)
    }


def by_data_set(
    rows: Rows, metric: str, key: str
) -> tuple[dict[str, dict[Any, Interval]], dict[str, str]]:
    """The mean of a metric by data set and row.

    Args:
        rows: From `group_runs`.
        metric: A logged name.
        key: Of the configuration, whose value names the data set; a class by its last part.

    Returns:
        The means, and the runs that have no such key.

    Raises:
        ValueError: Runs of one data set are of different splits.
    """
    of_data: dict[str, dict[Any, list[RunScores]]] = {}
    left_out = {}
    for row, runs in rows.items():
        for run in runs:
            try:
                data = str(value_of(run, key)).rpartition(".")[2]
            except LeftOutError as error:
                left_out[run.name] = str(error)
                continue
            of_data.setdefault(data, {}).setdefault(row, []).append(run)
    for of in of_data.values():
        check_one_split([run for runs in of.values() for run in runs])
    return {data: means(of, metric) for data, of in sorted(of_data.items())}, left_out


def _difference(
    runs: Mapping[int, RunScores],
    base: Mapping[int, RunScores],
    metric: str,
    queries: bool,
    smallest: float | None,
) -> Difference:
    of_runs, of_base = ({s: run.scores[metric] for s, run in of.items()} for of in (runs, base))
    by_seed = paired_differences(of_runs, of_base)
    values = list(by_seed.values())
    deviation = statistics.stdev(values) if len(values) > 1 else math.nan
    interval = student_interval(values)
    if queries:
        from ranklight.studies.bootstrap import hierarchical_interval
        from ranklight.studies.query_scores import query_scores, stacked

        scores = [query_scores(of[seed], metric) for of in (runs, base) for seed in by_seed]
        parts, weights = stacked(scores)
        count = len(by_seed)
        interval = hierarchical_interval(parts[:count] - parts[count:], weights[:count])
    asked = smallest is not None and not math.isnan(deviation)
    return Difference(
        interval, deviation, seeds=seeds_for(smallest, deviation) if asked and smallest else None
    )


def _interval(runs: Sequence[RunScores], metric: str, queries: bool) -> Interval:
    if not queries:
        return student_interval([run.scores[metric] for run in runs])
    # Here, since they need NumPy, which a comparison of seeds does without.
    from ranklight.studies.bootstrap import hierarchical_interval
    from ranklight.studies.query_scores import query_scores, stacked

    return hierarchical_interval(*stacked([query_scores(run, metric) for run in runs]))


def _by_seed(row: Any, runs: Sequence[RunScores]) -> dict[int, RunScores]:
    by_seed: dict[int, RunScores] = {}
    for run in runs:
        if run.seed is None:
            raise ValueError(f"--paired needs the seed of every run; {run.name} does not say it")
        if run.seed in by_seed:
            raise ValueError(
                f"--paired needs one run a seed; {row} has seed {run.seed} in "
                f"{by_seed[run.seed].name} and {run.name}, so name only one of them"
            )
        by_seed[run.seed] = run
    return by_seed


def _numbers_first(group: Any) -> tuple[int, float, str]:
    is_number = isinstance(group, int | float)
    return (0, float(group), "") if is_number else (1, 0.0, str(group))
