"""`ranklight search`: the images of an index that are nearest to others."""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ranklight.serving.found import Found
    from ranklight.serving.image_index import ImageIndex
    from ranklight.serving.queries import Queries

_QUERIES_ON_A_SHEET = 50


def main(arguments: Sequence[str]) -> None:
    """Search for what the command line names."""
    given = _parser().parse_args(arguments)
    if bool(given.query) == (given.rows is not None):
        raise ValueError("needed is something to search for: files or folders, or else --rows")
    if given.k < 1:
        raise ValueError(f"-k is 1 or more, not {given.k}")
    from ranklight.serving.image_index import ImageIndex

    index = ImageIndex.open(given.index, given.effort)
    names, found = _search(index, given)
    if given.sheet is not None:
        _draw(index, given, names, found)
    if given.json:
        from ranklight.serving.found import as_json

        print(json.dumps([as_json(*pair) for pair in zip(names, found, strict=True)], indent=1))
    else:
        for name, images in zip(names, found, strict=True):
            _print(name, images)


def _search(index: "ImageIndex", given: Namespace) -> tuple[list[str], list[list["Found"]]]:
    from ranklight.serving.found import found_images

    if given.rows is not None:
        near = index.search_rows(given.rows, given.k)
        names = [index.files["file"][row].as_py() for row in given.rows]
    else:
        names, vectors = _queries(index, given)
        near = index.search(vectors, given.k)
    return names, list(found_images(index, *near, given.threshold))


def _queries(index: "ImageIndex", given: Namespace) -> "Queries":
    from ranklight.serving.queries import image_queries, is_embeddings, model_of, stored_queries

    if len(given.query) == 1 and is_embeddings(given.query[0]):
        return stored_queries(Path(given.query[0]), index)
    return image_queries(given.query, model_of(index, given.run))


def _draw(
    index: "ImageIndex", given: Namespace, names: list[str], found: list[list["Found"]]
) -> None:
    from ranklight.serving.contact_sheet import write_sheet

    if len(names) > _QUERIES_ON_A_SHEET:
        raise ValueError(
            f"a sheet shows up to {_QUERIES_ON_A_SHEET} queries, and there are {len(names)}"
        )
    root = Path(index.facts["root"] if given.rows is not None else "")
    write_sheet(Path(given.sheet), index, [root / name for name in names], found)


def _print(name: str, images: list["Found"]) -> None:
    from rich.console import Console
    from rich.table import Column, Table

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
    Console().print(table)


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
    parser.add_argument("-k", type=int, default=10, help="How many are found for each (10).")
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
