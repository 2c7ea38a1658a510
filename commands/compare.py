"""`ranklight compare`: experiments side by side over their seeds, from local files alone."""

import csv
import json
import math
import statistics
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from rich.console import Console
from rich.table import Column, Table

from ranklight.markdown import table_lines

_NAMED = 8


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

    Only runs count that were fitted and saved, each once: by what its own best checkpoint scored
    when it was tested last (its last checkpoint where nothing was validated). What is left out is
    said below the table, with the reason.

    Args:
        where: Directories of runs, of experiments, or of many experiments.
        metrics: Logged names, for example test/recall@1; of val/... and train/... the last value.
        against: A key of config.yaml, for example model.init_args.weight: a row for each of its
            values instead of each experiment.
        plot: Picture of the first metric, with the rows' intervals.
        output: File for the table in Markdown.
    """
    found, left_out = {}, {}
    for run in _runs(where):
        try:
            scores = [score_of(run, metric) for metric in metrics]
            found[run] = _group(run, against), scores
        except _LeftOutError as error:
            left_out[run] = str(error)
    if not found:
        reasons = "; ".join(f"{run}: {reason}" for run, reason in left_out.items())
        raise ValueError(f"there is no run to compare; left out: {reasons}")
    groups: dict[Any, list[list[float]]] = {}
    for group, scores in found.values():
        groups.setdefault(group, []).append(scores)
    rows = {
        group: [summarise(values) for values in zip(*groups[group], strict=True)]
        for group in sorted(groups, key=_numbers_first)
    }
    table = Table(Column(against or "experiment", no_wrap=True, overflow="fold"), "runs", *metrics)
    for group, summaries in rows.items():
        table.add_row(str(group), str(len(groups[group])), *map(str, summaries))
    Console().print(table)
    for run, reason in left_out.items():
        print(f"left out: {run}: {reason}")
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


def score_of(run: Path, metric: str) -> float:
    """What a run's own best checkpoint scored, or for what training logs its last value."""
    stages = _stages(run)
    checkpoints = {file.name for file in (run / "checkpoints").glob("*.ckpt")}
    fits = [stage for stage in stages if stage["stage"] == "fit"]
    since_fit = (
        stages[len(stages) - [s["stage"] for s in stages][::-1].index("fit") :] if fits else []
    )
    if stages and not fits:
        raise _LeftOutError("it was not fitted, only " + ", ".join({s["stage"] for s in stages}))
    if not checkpoints and not any(fit["outcome"] == "finished" for fit in fits):
        raise _LeftOutError("its fit saved nothing" if fits else "no fit of it is recorded")
    tests = [stage for stage in stages if stage["stage"] == "test"]
    if not metric.startswith("test/") or not tests:
        return _last_value(run, metric)
    best = "best" if "best.ckpt" in checkpoints or not checkpoints else "last"
    own = [test for test in since_fit if _is_of(test["checkpoint"], run, best)]
    finished = [s for s in own if s["stage"] == "test" and s["outcome"] == "finished"]
    if not finished:
        raise _LeftOutError(f"its own {best}.ckpt was not tested since it was fitted")
    return _checked(metric, finished[-1]["scores"])


class _LeftOutError(Exception):
    """A run that does not count, and why."""


def _stages(run: Path) -> list[dict[str, Any]]:
    path = run / "run.json"
    try:
        stages = json.loads(path.read_text())["stages"] if path.exists() else []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _LeftOutError(f"its run.json cannot be read ({error!r})") from error
    return list(stages)


def _is_of(checkpoint: str | None, run: Path, name: str) -> bool:
    """By its place in the run, for a run may have been moved as a whole."""
    if checkpoint is None:
        return False
    file = Path(checkpoint)
    names = (f"{name}.ckpt", f"{name}.before.ckpt")
    return file.name in names and file.parent.parent.name == run.name


def _last_value(run: Path, metric: str) -> float:
    try:
        with (run / "metrics.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _LeftOutError(f"its metrics.csv cannot be read ({error})") from error
    values = [row[metric] for row in rows if row.get(metric)]
    there = {name: float("nan") for row in rows for name, value in row.items() if value}
    return _checked(metric, {**there, metric: values[-1]} if values else there)


def _checked(metric: str, scores: dict[str, Any]) -> float:
    if metric not in scores:
        names = sorted(name for name in scores if name and "/" in name)
        near = get_close_matches(metric, names, n=_NAMED, cutoff=0) if names else ["no scores"]
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        raise _LeftOutError(f"it has no {metric}; it has {', '.join(near)}{more}")
    try:
        value = float(scores[metric])
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise _LeftOutError(f"its {metric} is {scores[metric]}, no number")
    return value


def _runs(where: Sequence[str]) -> list[Path]:
    names = ("metrics.csv", "run.json")
    found = {
        file.parent.resolve()
        for start in where
        for name in names
        for file in Path(start).rglob(name)
    }
    if not found:
        raise FileNotFoundError(f"no metrics.csv and no run.json below {', '.join(where)}")
    return sorted(found)


def _group(run: Path, against: str | None) -> Any:
    keys = (against or "experiment").split(".")
    try:
        config: Any = yaml.safe_load((run / "config.yaml").read_text())
        for key in keys:
            config = config[int(key) if isinstance(config, list) else key]
    except (OSError, yaml.YAMLError) as error:
        raise _LeftOutError(f"its config.yaml cannot be read ({error})") from error
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise _LeftOutError(f"its config.yaml has no {'.'.join(keys)}") from error
    return json.dumps(config) if isinstance(config, dict | list) else config


def _numbers_first(group: Any) -> tuple[int, float, str]:
    is_number = isinstance(group, int | float)
    return (0, float(group), "") if is_number else (1, 0.0, str(group))


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
        values = (
            list(rows) if all(isinstance(v, int | float) for v in rows) else list(map(str, rows))
        )
        axes.errorbar(values, means, yerr=widths, capsize=3, marker="o")
        axes.set(xlabel=against, ylabel=metric)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
    Console().print(f"picture: {path}")
