"""`ranklight compare`: experiments side by side over their seeds."""

import csv
import math
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from ranklight.commands.outputs import check_output, check_picture
from ranklight.plain_console import plain_console
from ranklight.studies.comparison import (
    Difference,
    Rows,
    by_data_set,
    differences,
    group_runs,
    means,
)
from ranklight.studies.comparison_picture import draw_intervals
from ranklight.studies.comparison_sheets import (
    NUMBERS,
    Differences,
    Means,
    differences_sheet,
    means_sheet,
    number_rows,
    ranks_sheet,
)
from ranklight.studies.one_split import cautions, check_one_split
from ranklight.studies.results_file import write_results_file
from ranklight.studies.run_directories import with_last_values
from ranklight.studies.run_scores import Found, LeftOutError, RunScores
from ranklight.studies.sheet import Sheet, latex_lines, markdown_lines, screen_table
from ranklight.studies.sources import read_sources

_DESCRIPTION = """\
Mean and 95 % interval (Student's t) of metrics over the runs of each experiment.

  ranklight compare runs/lsep --metrics test/map_macro
  ranklight compare runs/lsep --metrics test/map_macro --paired lsep/digit_scenes/bce --power 0.02
  ranklight compare experiments/log_ratio/results.csv --metrics test/spearman --output table.tex

Only runs count that were fitted and saved, each once: by what its own best checkpoint scored
when it was tested last (its last checkpoint where nothing was validated). What is left out is
said below the tables, with the reason. Runs of different splits of the data are refused. The best
mean of each metric is in bold, where it is known which way the metric gets better."""

OUTPUTS: dict[str, Callable[[Sheet], Iterator[str]]] = {
    ".md": markdown_lines,
    ".tex": latex_lines,
}


def main(arguments: Sequence[str]) -> None:
    """Compare what the command line names."""
    given = compare_parser().parse_args(arguments)
    check(given)
    if given.keep_runs is not None:
        _keep(given)
    if given.metrics:
        compare(given)


class Comparison(NamedTuple):
    """What a command line compares.

    Args:
        sheets: The tables.
        means: By metric and row.
        differences: By metric and row, of --paired.
        runs: That count.
        left_out: Those that do not, with the reason.
    """

    sheets: Sequence[Sheet]
    means: Means
    differences: Differences
    runs: Sequence[RunScores]
    left_out: Mapping[str, str]


def compare(given: Namespace) -> None:
    """Print the tables, and write and draw what is asked for."""
    found = comparison(given)
    for sheet in found.sheets:
        plain_console().print(screen_table(sheet))
    for caution in cautions(found.runs):
        print(f"caution: {caution}")
    for run, reason in found.left_out.items():
        print(f"left out: {run}: {reason}")
    for output in given.output:
        _write(Path(output), found, given.paired)
    if given.plot is not None:
        _draw(found, given)


def comparison(given: Namespace) -> Comparison:
    """Read the runs, and compare them.

    Raises:
        ValueError: There is none that counts, or they are of different splits.
    """
    rows, left_out = _rows(read_sources(given.where, given.source, given.metrics), given)
    runs = [run for of in rows.values() for run in of]
    if given.ranks is not None:
        return Comparison(_ranks(rows, given, left_out), {}, {}, runs, left_out)
    if not given.across_splits:
        check_one_split(runs)
    of_means = {metric: means(rows, metric, given.queries) for metric in given.metrics}
    of_base = _differences(rows, given)
    return Comparison(_sheets(of_means, of_base, given), of_means, of_base, runs, left_out)


def compare_parser(kind: type[ArgumentParser] = ArgumentParser) -> ArgumentParser:
    """The options of `ranklight compare`, read by a kind of parser."""
    parser = kind("ranklight compare", description=_DESCRIPTION)
    parser.formatter_class = RawDescriptionHelpFormatter
    add = parser.add_argument
    add("where", nargs="*", help="directories of runs, or of many; CSVs that --keep_runs wrote")
    add(
        "--from",
        dest="source",
        action="append",
        default=[],
        metavar="SOURCE",
        help="wandb:ENTITY/PROJECT, or a directory of offline W&B runs; may be given again",
    )
    add(
        "--metrics",
        nargs="+",
        default=[],
        help="logged names, as test/recall@1; of val/... and train/... the last value",
    )
    add(
        "--against",
        metavar="KEY",
        help="a key of config.yaml, as model.init_args.weight: a row for each of its values",
    )
    add(
        "--rows",
        nargs="+",
        metavar="PATTERN",
        help="only these experiments (or values of --against), as lsep/* or lsep/digit_scenes/bce; "
        "what is not among them is not corrected for",
    )
    add(
        "--paired",
        metavar="BASE",
        help="also each row minus this one, within a seed, with Student's paired t, and p-values "
        "with Holm's correction over the rows of a metric",
    )
    add(
        "--queries",
        action="store_true",
        help="intervals over seeds and test queries (bootstrap of scores/): what would come out "
        "with other seeds and other queries of the kind",
    )
    add(
        "--power",
        nargs="+",
        type=float,
        metavar="DELTA",
        help="with --paired: how many seeds would see a true difference of DELTA in 80 %% of "
        "tries; one for all metrics or one for each",
    )
    add(
        "--ranks",
        metavar="KEY",
        help="a key of config.yaml that names the data set, as data.class_path: the mean over "
        "them of each row's rank; a row is a value of --against",
    )
    add(
        "--across_splits",
        action="store_true",
        help="do not refuse runs of different splits, where rows are meant to differ in it",
    )
    add(
        "--output",
        nargs="+",
        default=[],
        metavar="FILE",
        help="the tables in Markdown (.md), LaTeX with booktabs (.tex), or the numbers (.csv)",
    )
    add("--plot", metavar="FILE", help="picture of the first metric, or of its differences")
    add(
        "--keep_runs",
        metavar="FILE",
        help="CSV with a row a run (seed, commit, split, versions, every test score, and what "
        "--metrics names of val/... and train/...), to commit beside a table; compare reads it in "
        "place of the runs",
    )
    return parser


def check(given: Namespace) -> None:
    """Refuse options that do not go together, before anything is read."""
    if not given.where and not given.source:
        raise ValueError("compare needs runs: name directories, CSVs or --from a W&B source")
    if not given.metrics and given.keep_runs is None:
        raise ValueError("compare needs --metrics, for example test/recall@1")
    if given.power and given.paired is None:
        raise ValueError("--power is about differences: give --paired BASE too")
    if given.power and len(given.power) not in (1, len(given.metrics)):
        raise ValueError(
            f"--power needs one difference, or one for each of {len(given.metrics)} metrics; "
            f"got {len(given.power)}"
        )
    if given.power and not all(math.isfinite(delta) and delta for delta in given.power):
        raise ValueError(f"--power needs differences other than 0; got {given.power}")
    if given.ranks is not None and given.against is None:
        raise ValueError("--ranks needs --against KEY: a row is a method, whatever the data set")
    if given.ranks is not None and any(Path(output).suffix == ".csv" for output in given.output):
        raise ValueError("--ranks writes .md and .tex; for the numbers leave it out")
    if given.ranks is not None and (given.paired or given.queries or given.plot):
        raise ValueError("--ranks is a table of its own: give no --paired, --queries or --plot")
    for output in given.output:
        if Path(output).suffix not in (*OUTPUTS, ".csv"):
            raise ValueError(f"--output writes .md, .tex and .csv; got {output}")
    _check_files(given)


def _check_files(given: Namespace) -> None:
    """Refuse to write over what is read, or two things into one file."""
    if "" in (*given.where, *given.metrics):
        raise ValueError("a directory or a metric has no name: an argument is empty")
    if given.plot is not None:
        check_picture("--plot", given.plot, given.where)
    written = [("--output", output) for output in given.output]
    if given.keep_runs is not None:
        written.append(("--keep_runs", given.keep_runs))
    for place, (option, output) in enumerate(written):
        check_output(option, output, (name for name in given.where if Path(name).is_file()))
        if output in [other for _, other in written[:place]]:
            raise ValueError(f"{option} {output} is written twice: give another name")


def _keep(given: Namespace) -> None:
    found = read_sources(given.where, given.source, None)
    for run, reason in found.left_out.items():
        print(f"not kept: {run}: {reason}")
    if not found.runs:
        raise ValueError("there is no tested run to keep")
    rows, without_key = group_runs(found.runs, given.against)
    rows = _named(rows, given.rows)
    for run, reason in without_key.items():
        print(f"not kept: {run}: {reason}")
    further = [metric for metric in given.metrics if not metric.startswith("test/")]
    runs = [with_last_values(run, further) for of in rows.values() for run in of]
    write_results_file(Path(given.keep_runs), runs, [given.against] if given.against else [])
    print(f"{len(runs)} runs: {given.keep_runs}")


def _rows(found: Found, given: Namespace) -> tuple[Rows, dict[str, str]]:
    runs, left_out = list(found.runs), dict(found.left_out)
    if given.queries:
        from ranklight.studies.query_scores import query_scores

        runs = []
        for run in found.runs:
            try:
                for metric in given.metrics:
                    query_scores(run, metric)
                runs.append(run)
            except LeftOutError as error:
                left_out[run.name] = str(error)
    rows, without_key = group_runs(runs, given.against)
    left_out |= without_key
    if not rows:
        raise ValueError(f"there is no run to compare; left out: {_reasons(left_out)}")
    return _named(rows, given.rows), left_out


def _reasons(left_out: Mapping[str, str]) -> str:
    """Each reason once, with the first run that it is of."""
    of: dict[str, list[str]] = {}
    for run, reason in left_out.items():
        of.setdefault(reason, []).append(run)
    return "; ".join(
        f"{runs[0]}{f' and {len(runs) - 1} more' if len(runs) > 1 else ''}: {reason}"
        for reason, runs in of.items()
    )


def _named(rows: Rows, patterns: Sequence[str] | None) -> Rows:
    """Those rows that a pattern names; None: all."""
    if patterns is None:
        return rows
    for pattern in patterns:
        if not any(fnmatchcase(str(row), pattern) for row in rows):
            raise ValueError(f"--rows {pattern} names none of {', '.join(map(str, rows))}")
    named = {row for row in rows for pattern in patterns if fnmatchcase(str(row), pattern)}
    return {row: runs for row, runs in rows.items() if row in named}


def _differences(rows: Rows, given: Namespace) -> dict[str, Mapping[Any, Difference]]:
    if given.paired is None:
        return {}
    base = next((row for row in rows if str(row) == given.paired), given.paired)
    return {
        metric: differences(rows, metric, base, given.queries, delta)
        for metric, delta in zip(given.metrics, _deltas(given), strict=True)
    }


def _deltas(given: Namespace) -> list[float | None]:
    """The difference that each metric is to show; none, one for all, or one each."""
    deltas = given.power or [None]
    return deltas * len(given.metrics) if len(deltas) == 1 else deltas


def _sheets(of_means: Means, of_base: Differences, given: Namespace) -> list[Sheet]:
    first = given.against or "experiment"
    return [
        means_sheet(of_means, first),
        *(
            differences_sheet(metric, of_base[metric], given.paired, first, delta)
            for metric, delta in zip(given.metrics, _deltas(given), strict=True)
            if of_base
        ),
    ]


def _ranks(rows: Rows, given: Namespace, left_out: dict[str, str]) -> list[Sheet]:
    sheets = []
    for metric in given.metrics:
        scores, without_key = by_data_set(rows, metric, given.ranks)
        left_out |= without_key
        if not scores:
            raise ValueError(f"no run's config.yaml has {given.ranks}, which names its data set")
        sheets.append(ranks_sheet(metric, scores, given.against))
    return sheets


def _write(path: Path, found: Comparison, base: str | None) -> None:
    # Here, since the room imports torch, which a comparison does without.
    from ranklight.files.writing import replacing

    with replacing(path) as fresh, fresh.open("w", newline="", encoding="utf-8") as file:
        if path.suffix == ".csv":
            numbers = number_rows(found.means, found.differences, base)
            csv.writer(file, lineterminator="\n").writerows([NUMBERS, *numbers])
        else:
            lines = OUTPUTS[path.suffix]
            tables = ["".join(f"{line}\n" for line in lines(sheet)) for sheet in found.sheets]
            file.write("\n".join(tables))


def _draw(found: Comparison, given: Namespace) -> None:
    metric, path = given.metrics[0], Path(given.plot)
    if found.differences:
        rows = {row: of.interval for row, of in found.differences[metric].items()}
        draw_intervals(rows, f"{metric} minus that of {given.paired}", path, given.against, True)
    else:
        draw_intervals(found.means[metric], metric, path, given.against, False)
    print(f"picture: {path}")
