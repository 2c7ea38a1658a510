"""`ranklight report`: a run as one page of HTML, from files alone."""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_ABOUT = """What a run scored, what it gets wrong, and what is wrong with its data, as one page.

The page holds its pictures and needs nothing else: DIR/index.html. Beside it lie the lists that it
shows in part, as CSV. It comes from the files of the run, of `ranklight embed` and of `ranklight
index`; where one is missing the page says which command makes it.

    ranklight report runs/digits/latest --output report
    ranklight report runs/digits/old runs/digits/new --output report --embeddings vectors.parquet
"""


def main(arguments: Sequence[str]) -> None:
    """Write the report that the command line asks for."""
    options: dict[str, Any] = vars(report_parser().parse_args(arguments))
    from ranklight.serving.report import Limits, write_report

    limits = Limits(**{name: options.pop(name) for name in Limits._fields})
    first, second = options.pop("run"), options.pop("run2")
    written = write_report([first] if second is None else [first, second], limits=limits, **options)
    print(f"report: {written}")


def report_parser() -> ArgumentParser:
    """The options of `ranklight report`."""
    parser = ArgumentParser("ranklight report", description=_ABOUT)
    parser.formatter_class = RawDescriptionHelpFormatter
    add = parser.add_argument
    add("run", metavar="RUN", type=Path, help="the directory of a run")
    add(
        "run2",
        metavar="RUN2",
        type=Path,
        nargs="?",
        help="a later run: the page is about it, and says which queries it fixed and broke of RUN",
    )
    add("--output", metavar="DIR", type=Path, required=True, help="where to write the page")
    add(
        "--embeddings",
        metavar="E.parquet",
        type=Path,
        nargs="+",
        default=[],
        help="vectors of "
        "the images from `ranklight embed`, by the run that the page is about; for neighbours, "
        "confused classes, label errors and near-duplicates",
    )
    add(
        "--index",
        metavar="INDEX",
        dest="index_directories",
        type=Path,
        nargs="+",
        default=[],
        help="directories of `ranklight index`, for their sizes and recall",
    )
    add(
        "--images",
        metavar="FOLDER",
        type=Path,
        help="the folder that names of files are relative "
        "to, where they are not relative to the current one",
    )
    add(
        "--stage",
        metavar="NAME",
        help="which scores of the run: test, val, or test-<loader>; by default test, else val",
    )
    add(
        "--score",
        metavar="NAME",
        help="the column of scores by which queries are compared, for "
        "example map@r; by default Recall@K of the smallest K, else label distance or an image's "
        "average precision",
    )
    add(
        "--shown",
        type=int,
        default=12,
        help="how many of each kind the page shows with pictures "
        "(default: %(default)s); the CSV files have all",
    )
    add(
        "--neighbours",
        type=int,
        default=10,
        help="how many neighbours are asked for an image's label (default: %(default)s)",
    )
    add(
        "--agreement",
        type=float,
        default=0.8,
        help="share of them that must agree on another "
        "class; more suspects fewer labels (default: %(default)s)",
    )
    add(
        "--cosine",
        type=float,
        default=0.95,
        help="cosine from which on images of two splits are "
        "compared as pictures; more finds fewer (default: %(default)s)",
    )
    add(
        "--fiftyone",
        action="store_true",
        help="also write DIR/fiftyone, a data set with all findings that FiftyOne opens",
    )
    return parser
