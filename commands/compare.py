"""`ranklight compare`: experiments side by side over their seeds, from local files alone."""

import csv
import math
import statistics
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from rich.console import Console
from rich.table import Column, Table

from ranklight.markdown import table_lines


class Summary(NamedTuple):
    """Mean of a metric over runs, and half its 95 % interval (Student's t; nan for one run)."""

    mean: float
    half_width: float
    runs: int

    def __str__(self) -> str:
        return f"{self.mean:.3f} ± {self.half_width:.3f}" if self.runs > 1 else f"{self.mean:.3f}"


def main(arguments: Sequence[str]) -> None:
    """Compare what the command line names."""
    compare(**vars(compare_parser().parse_args(arguments)))


def compare(
    where: list[str],
    metrics: list[str],
    against: str | None = None,
    plot: str | None = None,
    output: str | None = None,
) -> None:
    """Print mean ± 95 % interval of metrics over the runs of each experiment.

    Args:
        where: Directories of runs, of experiments, or of many experiments.
        metrics: Columns of metrics.csv, for example test/recall@1; the last value of a run counts.
        against: A key of config.yaml, for example model.init_args.weight: a row for each of its
            values instead of each experiment.
        plot: Picture of the first metric, with the rows' intervals.
        output: File for the table in Markdown.
    """
    groups: dict[Any, list[Path]] = {}
    for run in _runs(where):
        groups.setdefault(_group(run, against), []).append(run)
    rows = {
        group: [summarise([last_value(run, metric) for run in groups[group]]) for metric in metrics]
        for group in sorted(groups)
    }
    table = Table(Column(against or "experiment", no_wrap=True, overflow="fold"), "runs", *metrics)
    for group, summaries in rows.items():
        table.add_row(str(group), str(len(groups[group])), *map(str, summaries))
    Console().print(table)
    if output is not None:
        Path(output).write_text(_markdown(against or "experiment", metrics, rows))
    if plot is not None:
        _draw(rows, against, metrics[0], Path(plot))


def compare_parser() -> ArgumentParser:
    """The options of `ranklight compare`."""
    parser = ArgumentParser("ranklight compare", description=compare.__doc__)
    parser.formatter_class = RawDescriptionHelpFormatter
    parser.add_argument("where", nargs="+")
    parser.add_argument("--metrics", nargs="+", required=True)
    for option in ("--against", "--plot", "--output"):
        parser.add_argument(option)
    return parser


def summarise(values: Sequence[float]) -> Summary:
    """Mean and 95 % interval of the mean."""
    count = len(values)
    if count < 2:
        return Summary(values[0], math.nan, count)
    # Here, since one run needs no interval; and scipy.stats would take three times as long.
    from scipy.special import stdtrit

    spread = statistics.stdev(values) / math.sqrt(count)
    return Summary(statistics.fmean(values), float(stdtrit(count - 1, 0.975)) * spread, count)


def last_value(run: Path, metric: str) -> float:
    """The last value of a metric in a run's metrics.csv.

    Raises:
        ValueError: The run has not logged it; says what it has.
    """
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    values = [row[metric] for row in rows if row.get(metric)]
    if not values:
        there = ", ".join(sorted(name for name in rows[0] if "/" in name))
        raise ValueError(f"run {run} has no {metric}; it has {there}")
    return float(values[-1])


def _runs(where: Sequence[str]) -> list[Path]:
    found = {file.parent.resolve() for start in where for file in Path(start).rglob("metrics.csv")}
    if not found:
        raise FileNotFoundError(f"no metrics.csv below {', '.join(where)}")
    return sorted(found)


def _group(run: Path, against: str | None) -> Any:
    config: Any = yaml.safe_load((run / "config.yaml").read_text())
    for key in (against or "experiment").split("."):
        config = config[key]
    return config


def _markdown(first: str, metrics: Sequence[str], rows: dict[Any, list[Summary]]) -> str:
    cells = (
        [str(group), str(summaries[0].runs), *map(str, summaries)]
        for group, summaries in rows.items()
    )
    return "".join(f"{line}\n" for line in table_lines([first, "runs", *metrics], cells))


def _draw(rows: dict[Any, list[Summary]], against: str | None, metric: str, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    means = [summaries[0].mean for summaries in rows.values()]
    widths = [summaries[0].half_width for summaries in rows.values()]
    if against is None:
        axes.barh([str(group) for group in rows], means, xerr=widths, capsize=3)
        axes.set_xlabel(metric)
    else:
        axes.errorbar(list(rows), means, yerr=widths, capsize=3, marker="o")
        axes.set(xlabel=against, ylabel=metric)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
    Console().print(f"picture: {path}")
