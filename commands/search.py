"""`ranklight search`: the images of an index that are nearest to others."""

import json
import math
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ranklight.commands.outputs import check_output

if TYPE_CHECKING:
    from ranklight.serving.boxes import Shown
    from ranklight.serving.found import Found
    from ranklight.serving.image_index import ImageIndex
    from ranklight.serving.queries import Queries

EMBEDDINGS = ".parquet"
_FOUND, _QUERIES_ON_A_SHEET = 10, 50


def main(arguments: Sequence[str]) -> None:
    """Search for what the command line names."""
    given = _parser().parse_args(arguments)
    _check(given)
    from ranklight.serving.image_index import ImageIndex

    index = ImageIndex.open(given.index, given.effort)
    if given.k is None:
        given.k = max(1, min(_FOUND, len(index) - (given.rows is not None)))
    index.check_count(given.k)
    shown, found = _search(index, given)
    if given.sheet is not None:
        _draw(index, given, shown, found)
    answers = [(name, images) for (name, _), images in zip(shown, found, strict=True)]
    if given.json:
        from ranklight.serving.found import as_json

        print(json.dumps([as_json(*answer) for answer in answers], indent=1))
    else:
        for answer in answers:
            _print(*answer)


def _check(given: Namespace) -> None:
    """Refuse options that cannot be, before anything is loaded."""
    if bool(given.query) == (given.rows is not None):
        raise ValueError("needed is something to search for: files or folders, or else --rows")
    if given.k is not None and given.k < 1:
        raise ValueError(f"-k is 1 or more, not {given.k}")
    if given.threshold is not None and not math.isfinite(given.threshold):
        raise ValueError(f"--threshold is a similarity, at most 1; got {given.threshold}")
    stored = [name for name in given.query if name.endswith(EMBEDDINGS)]
    if stored and len(given.query) > 1:
        raise ValueError(
            f"{stored[0]} holds queries, and is searched for alone: leave out the rest"
        )
    if given.sheet is not None:
        if not given.sheet.endswith(".png"):
            raise ValueError(f"--sheet must end in .png; got {given.sheet}")
        check_output("--sheet", given.sheet)


def _search(index: "ImageIndex", given: Namespace) -> tuple[list["Shown"], list[list["Found"]]]:
    from ranklight.serving.boxes import shown_in
    from ranklight.serving.found import found_images

    if given.rows is not None:
        near = index.search_rows(given.rows, given.k)
        shown = shown_in(index.files.take(given.rows))
    else:
        shown, vectors = _queries(index, given)
        near = index.search(vectors, given.k)
    return shown, list(found_images(index, *near, given.threshold))


def _queries(index: "ImageIndex", given: Namespace) -> "Queries":
    from ranklight.serving.queries import image_files, image_queries, model_of, stored_queries

    if given.query[0].endswith(EMBEDDINGS):
        return stored_queries(Path(given.query[0]), index)
    files = image_files(given.query)
    _check_sheet(given, len(files), files)
    return image_queries(files, model_of(index, given.run))


def _check_sheet(given: Namespace, queries: int, pictures: Iterable[Path]) -> None:
    """Refuse a sheet that nobody could look at, or that would take a picture's place."""
    if given.sheet is None:
        return
    if queries > _QUERIES_ON_A_SHEET:
        raise ValueError(
            f"a sheet shows up to {_QUERIES_ON_A_SHEET} queries, and there are {queries}"
        )
    check_output("--sheet", given.sheet, pictures)


def _draw(
    index: "ImageIndex", given: Namespace, shown: list["Shown"], found: list[list["Found"]]
) -> None:
    from ranklight.serving.contact_sheet import write_sheet

    _check_sheet(given, len(shown), index.paths_like(Path(given.sheet)))
    root = Path(index.facts["root"] if given.rows is not None else "")
    queries = [(root / name, box) for name, box in shown]
    write_sheet(Path(given.sheet), index, queries, found)


def _print(name: str, images: list["Found"]) -> None:
    from rich.table import Column, Table

    from ranklight.plain_console import plain_console

    told = any(image.same is not None for image in images)
    numbers = [Column(name, justify="right") for name in ("row", "distance", "similarity")]
    table = Table(
        Column("file", overflow="fold"), *numbers, *(["same"] if told else []), title=name
    )
    for image in images:
        same = ["yes" if image.same else "no"] if told else []
        table.add_row(
            image.file, str(image.row), f"{image.distance:.4f}", f"{image.similarity:.4f}", *same
        )
    plain_console().print(table)


def _parser() -> ArgumentParser:
    parser = ArgumentParser("ranklight search", description=__doc__)
    parser.add_argument("index", help="The directory that `ranklight index` made.")
    parser.add_argument(
        "query",
        nargs="*",
        help="Images, folders of images, or one Parquet file that `ranklight embed` wrote.",
    )
    parser.add_argument(
        "--rows", nargs="+", type=int, help="Search for images of the index, by their rows."
    )
    parser.add_argument(
        "-k", type=int, help="How many are found for each (10, or all of a smaller index)."
    )
    parser.add_argument(
        "--threshold",
        type=float,
        help="Similarity from which on two images are the same, in place of the stored one.",
    )
    parser.add_argument(
        "--effort",
        type=int,
        help="How far an approximate index looks, in place of what it was built with.",
    )
    parser.add_argument("--run", help="The run that made the index, if it was moved since.")
    parser.add_argument("--json", action="store_true", help="Print JSON in place of tables.")
    parser.add_argument("--sheet", help="A .png to draw: each query beside what was found.")
    return parser
