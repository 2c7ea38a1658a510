"""Rows of a comparison with their intervals, drawn."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ranklight.files.figures import save_figure
from ranklight.studies.intervals import Interval


def draw_intervals(
    rows: Mapping[Any, Interval], label: str, path: Path, key: str | None, zero: bool
) -> None:
    """A bar a row, or a curve where the rows are values of a key.

    Args:
        rows: Mean and interval by row.
        label: Of the numbers.
        path: Of the picture.
        key: Whose values the rows are; None where they are experiments.
        zero: Whether to draw a line at 0, of what does not differ from the base.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    centres = [interval.mean for interval in rows.values()]
    widths = [interval.half_width for interval in rows.values()]
    if key is None:
        axes.errorbar(centres, list(map(str, rows)), xerr=widths, capsize=3, fmt="o")
        axes.invert_yaxis()
        axes.margins(y=0.2)
        axes.set_xlabel(label)
    else:
        numbers = all(isinstance(row, int | float) for row in rows)
        values = list(rows) if numbers else list(map(str, rows))
        axes.errorbar(values, centres, yerr=widths, capsize=3, marker="o")
        axes.set(xlabel=key, ylabel=label)
    if zero:
        (axes.axvline if key is None else axes.axhline)(0, color="black", linewidth=0.8)
    axes.grid(alpha=0.3)
    save_figure(figure, path, dpi=110)
