"""`ranklight recipes`: the experiments that ship, by the names that `-c` takes."""

import re
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

SHIPPED = Path(__file__).resolve().parents[1] / "experiments"


class Recipe(NamedTuple):
    """An experiment that ships: the files of its command, a base first, and what it is."""

    files: list[str]
    summary: str


def main(arguments: Sequence[str]) -> None:
    """Print every recipe: what stands behind `ranklight fit`, and a sentence."""
    ArgumentParser("ranklight recipes", description=__doc__).parse_args(arguments)
    lines = [f"-c {' -c '.join(recipe.files)}\n    {recipe.summary}" for recipe in shipped()]
    print("\n".join(lines))


def find_recipe(name: str) -> Path:
    """The file of this name, or else the recipe that ships under it.

    Raises:
        FileNotFoundError: There is neither; says where was looked.
    """
    for file in (Path(name), SHIPPED / name.removeprefix("experiments/")):
        if file.is_file():
            return file
    raise FileNotFoundError(
        f"there is no recipe {name}, neither in {Path.cwd()} nor among those that ship, in "
        f"{SHIPPED}: see `ranklight recipes`"
    )


def shipped() -> Iterator[Recipe]:
    """Every experiment that ships, as the comment at its head describes it."""
    for file in sorted(SHIPPED.rglob("*.yaml")):
        with file.open(encoding="utf-8") as lines:
            comments = takewhile(lambda line: line.startswith("#"), lines)
            command, *about = [line.strip("# \n") for line in comments]
        if command.startswith("ranklight "):
            files = re.findall(r"-c experiments/(\S+)", command)
            yield Recipe(files, _first_sentence(" ".join(about).strip()))


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=[.?!])\s+(?=[A-Z0-9])", text, maxsplit=1)[0]
