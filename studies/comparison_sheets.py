"""Comparisons as tables of text and of numbers."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ranklight.studies.comparison import Difference
from ranklight.studies.intervals import Interval, rounded
from ranklight.studies.power import MOST_SEEDS
from ranklight.studies.ranks import mean_ranks
from ranklight.studies.sheet import Sheet

NUMBERS = (
    "row",
    "metric",
    "runs",
    "mean",
    "half_width",
    "base",
    "pairs",
    "difference",
    "difference_half_width",
    "p",
    "p_holm",
    "deviation",
    "seeds",
)

Means = Mapping[str, Mapping[Any, Interval]]
Differences = Mapping[str, Mapping[Any, Difference]]


def means_sheet(means: Means, first: str) -> Sheet:
    """A row an experiment, a column a metric: mean ± half of the 95 % interval.

    Args:
        means: By metric and row.
        first: What the rows are.
    """
    rows = list(next(iter(means.values())))
    cells = [
        [
            str(row),
            str(next(iter(means.values()))[row].runs),
            *(str(of[row]) for of in means.values()),
        ]
        for row in rows
    ]
    best = {
        (number, column)
        for column, (metric, of) in enumerate(means.items(), start=2)
        for number in _best(metric, [of[row].mean for row in rows])
    }
    return Sheet("", [first, "runs", *means], cells, frozenset(best))


def differences_sheet(
    metric: str, of: Mapping[Any, Difference], base: str, first: str, smallest: float | None
) -> Sheet:
    """A row an experiment minus the base, within a seed.

    Args:
        metric: The logged name.
        of: By row.
        base: What is subtracted.
        first: What the rows are.
        smallest: The difference that a column says the seeds for; None: no such column.
    """
    header = [first, "pairs", "difference", "p", "p (Holm)"]
    rows = [
        [
            str(row),
            str(difference.interval.runs),
            str(difference.interval),
            _p(difference.interval.p_value),
            _p(difference.holm),
            *([_seeds(difference)] if smallest is not None else []),
        ]
        for row, difference in of.items()
    ]
    if smallest is not None:
        header.append(f"seeds for {smallest:g}")
    return Sheet(f"{metric} minus that of {base}, within a seed", header, rows)


def ranks_sheet(metric: str, scores: Mapping[str, Mapping[Any, Interval]], first: str) -> Sheet:
    """A row a method, a column a data set, and the mean rank, 1 being the best.

    Args:
        metric: The logged name.
        scores: By data set and method.
        first: What the methods are.

    Raises:
        ValueError: It is not known which way the metric gets better, or a method has no score.
    """
    direction = _direction(metric)
    if direction is None:
        raise ValueError(f"--ranks needs a metric that is known to rise or fall; not {metric}")
    means = {data: {row: of.mean for row, of in by.items()} for data, by in scores.items()}
    ranks = mean_ranks(means, direction)
    rows = sorted(ranks, key=lambda row: ranks[row])
    cells = [
        [str(row), *(str(of[row]) for of in scores.values()), f"{ranks[row]:.2f}"] for row in rows
    ]
    columns = [*([of[row] for row in rows] for of in means.values()), [-ranks[row] for row in rows]]
    best = {
        (number, column)
        for column, values in enumerate(columns, start=1)
        for number in (
            _best(metric, values)
            if column < len(columns)
            else [n for n, value in enumerate(values) if value == max(values)]
        )
    }
    return Sheet(metric, [first, *scores, "mean rank"], cells, frozenset(best))


def number_rows(means: Means, differences: Differences, base: str | None) -> Iterator[list[Any]]:
    """All numbers in all digits, a row a metric and row, in the columns `NUMBERS`.

    Args:
        means: By metric and row.
        differences: By metric and row; {} where none were asked for.
        base: What was subtracted.
    """
    for metric, of in means.items():
        for row, (mean, half_width, _, runs) in of.items():
            line: list[Any] = [row, metric, runs, mean, half_width]
            difference = differences.get(metric, {}).get(row)
            if difference is not None:
                change, width, p_value, pairs = difference.interval
                line += [base, pairs, change, width, p_value, difference.holm]
                line += [difference.deviation, difference.seeds]
            line += [None] * (len(NUMBERS) - len(line))
            yield ["" if _is_nan(cell) or cell is None else cell for cell in line]


def _best(metric: str, values: Sequence[float]) -> list[int]:
    """Where the best are; nowhere, if there is one row or nothing says what is better."""
    direction = _direction(metric) if len(values) > 1 else None
    if direction is None:
        return []
    best = rounded((min if direction == "min" else max)(values))
    return [number for number, value in enumerate(values) if rounded(value) == best]


def _direction(metric: str) -> Any:
    # Here, since the room imports torch, which one row does without.
    from ranklight.metric_directions import direction_of

    return direction_of(metric)


def _p(value: float) -> str:
    return "" if math.isnan(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _seeds(difference: Difference) -> str:
    if math.isnan(difference.deviation):
        return ""
    return f"> {MOST_SEEDS:,}" if difference.seeds is None else str(difference.seeds)


def _is_nan(cell: Any) -> bool:
    return isinstance(cell, float) and math.isnan(cell)
