"""`ranklight results`: the numbers of a page, from the runs that are committed beside it."""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from ranklight.commands.compare import check, compare_parser, comparison
from ranklight.commands.rerun import rerun_all
from ranklight.files.text import read_text_file
from ranklight.studies.claims import claims_lines, read_claims
from ranklight.studies.comparison import differences, group_runs, means
from ranklight.studies.intervals import Interval
from ranklight.studies.results_file import read_results_file
from ranklight.studies.results_page import filled
from ranklight.studies.sheet import markdown_lines

RUNS = "results.csv"
_DESCRIPTION = f"""\
Write the numbers of Markdown pages anew, from {RUNS} beside each (ranklight compare --keep_runs).

What stands between these comments and <!-- end --> is made by the command:

  <!-- compare --metrics test/map@r [--paired BASE] ... -->  tables, as ranklight compare makes them
  <!-- mean ROW METRIC -->                    mean ± half of the 95 %% interval over seeds
  <!-- difference ROW METRIC BASE -->         ROW minus BASE within a seed, with its interval
  <!-- claims FILE.yaml -->                   a table of claims, as docs/claims.yaml has them

A row is an experiment, by the name that its runs have. The runs of another folder are named first:
<!-- mean experiments/digits/{RUNS} ROW METRIC -->, from the page on."""


class _OfAPage(ArgumentParser):
    """Refuses words of a page, which is then named, and not those of the command line."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def main(arguments: Sequence[str]) -> None:
    """Fill the pages that the command line names, or look whether they are."""
    given = results_parser().parse_args(arguments)
    pages = [Path(page) for page in given.pages]
    if given.rerun:
        rerun_all([page.with_name(RUNS) for page in pages])
        return
    made = {page: filled_page(page) for page in pages}
    other = [page for page in pages if made[page] != page.read_text(encoding="utf-8")]
    if given.check and other:
        named = " ".join(map(str, other))
        raise ValueError(
            f"not what the runs beside them give: {named}; run ranklight results on it"
        )
    if other:
        write_pages({page: made[page] for page in other})


def write_pages(texts: Mapping[Path, str]) -> None:
    """Write pages, each whole or not at all."""
    # Here, since the room imports torch.
    from ranklight.files.writing import replacing

    for page, text in texts.items():
        with replacing(page) as fresh:
            fresh.write_text(text, encoding="utf-8")
        print(f"written: {page}")


def results_parser() -> ArgumentParser:
    """The options of `ranklight results`."""
    parser = ArgumentParser("ranklight results", description=_DESCRIPTION)
    parser.formatter_class = RawDescriptionHelpFormatter
    parser.add_argument("pages", nargs="+", help="Markdown files")
    parser.add_argument("--check", action="store_true", help="write nothing, refuse what differs")
    parser.add_argument(
        "--rerun",
        action="store_true",
        help="write nothing; train one seed of the first row anew and say what moved",
    )
    return parser


def filled_page(page: Path) -> str:
    """A page with its numbers made anew.

    Raises:
        FileNotFoundError: The page, or the runs that it needs, are not there.
        ValueError: A comment of it cannot be answered; names it.
    """
    verbs: dict[str, Callable[[Sequence[str]], str]] = {
        "compare": lambda words: _tables(*_runs_and_words(page, words)),
        "mean": lambda words: _mean(*_runs_and_words(page, words)),
        "difference": lambda words: _difference(*_runs_and_words(page, words)),
        "claims": lambda words: _claims(page.parent / _counted(words, 1, "claims FILE.yaml")[0]),
    }
    return filled(read_text_file(page, "page"), verbs)


def _runs_and_words(page: Path, words: Sequence[str]) -> tuple[Path, Sequence[str]]:
    """The runs that a comment speaks of: those beside the page, or those it names first."""
    if words and words[0].endswith(".csv"):
        return page.parent / words[0], words[1:]
    return page.with_name(RUNS), words


def _tables(runs: Path, words: Sequence[str]) -> str:
    given = compare_parser(_OfAPage).parse_args([str(runs), *words])
    check(given)
    tables = ["\n".join(markdown_lines(sheet)) for sheet in comparison(given).sheets]
    return "\n\n".join(tables)


def _mean(runs: Path, words: Sequence[str]) -> str:
    row, metric = _counted(words, 2, "mean ROW METRIC")
    rows, _ = group_runs(read_results_file(runs, [metric]).runs, None)
    if row not in rows:
        raise ValueError(f"{runs} has no {row} with {metric}; it has {', '.join(rows) or 'none'}")
    return str(means({row: rows[row]}, metric)[row])


def _difference(runs: Path, words: Sequence[str]) -> str:
    return str(_interval(runs, *_counted(words, 3, "difference ROW METRIC BASE")))


def _interval(runs: Path, row: str, metric: str, base: str) -> Interval:
    rows, _ = group_runs(read_results_file(runs, [metric]).runs, None)
    two = {name: rows[name] for name in (row, base) if name in rows}
    if len(two) < 2:
        raise ValueError(f"{runs} needs {row} and {base} with {metric}; it has {', '.join(rows)}")
    return differences(two, metric, base)[row].interval


def _claims(file: Path) -> str:
    def number(words: str) -> str:
        folder, *named = words.split(" ")
        runs = file.parent / folder / RUNS
        if len(named) == 2:
            return f"`{named[0]}`, {named[1]}: {_mean(runs, named)}"
        row, metric, base = _counted(named, 3, "FOLDER ROW METRIC [BASE]")
        return f"`{row}` minus `{base}`, {metric}: {_interval(runs, row, metric, base)}"

    return "\n".join(claims_lines(read_claims(file), number))


def _counted(words: Sequence[str], count: int, usage: str) -> Sequence[str]:
    if len(words) != count:
        raise ValueError(f"it is written {usage}; got {' '.join(words) or 'no words'}")
    return words
