"""Files of pairs of images that show the same, or not, in the format of LFW."""

from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from ranklight.datamodules.reading.annotations import Location, integer, rows


class PairFile(NamedTuple):
    """Pairs of images by their names.

    Args:
        first: The first image of each pair. In LFW's files from the root: Name/Name_0001.jpg; in a
            table by as much of the end of its path as tells it from others, or an image's index.
        second: Its second.
        same: Whether they show the same.
        folds: The fold of each pair, from 0, for accuracy by folds (LFW's sets); None without.
    """

    first: list[str]
    second: list[str]
    same: Bool[np.ndarray, "n"]
    folds: Int[np.ndarray, "n"] | None = None


def read_pairs(file: Path) -> PairFile:
    """A file of pairs as LFW has them, pairs.txt or pairsDevTrain.txt.

    The first line says how many pairs of each kind follow, or how many sets and how many of each
    kind a set has; the sets follow one another. A pair of one person is a line "name 1 2", a pair
    of two people "name 1 other 3"; the image is name/name_0001.jpg.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A line of another form, an image with itself, one person as two, or other pairs
            than the first line says.
    """
    lines = [(location, line.split()) for location, (line,) in rows(file, 1, "name 1 2")]
    if not lines:
        raise ValueError(f"{file} is empty: its first line says how many pairs follow")
    numbers = _announced(*lines[0])
    announced = prod(numbers)
    pairs = [_pair(location, fields) for location, fields in lines[1:]]
    same = np.array([of_one for _, _, of_one in pairs], dtype=bool)
    if [same.sum(), (~same).sum()] != [announced, announced]:
        raise ValueError(
            f"{file}: its first line says {announced} pairs of one person and as many of two; it "
            f"has {same.sum()} and {(~same).sum()}"
        )
    folds = _sets(file, same, numbers[1]) if len(numbers) == 2 else None
    firsts, seconds, _ = zip(*pairs, strict=True)
    return PairFile([*firsts], [*seconds], same, folds)


def _sets(file: Path, same: Bool[np.ndarray, "n"], pairs: int) -> Int[np.ndarray, "n"]:
    """The set of each pair: so many of one person, then as many of two people."""
    folds = np.arange(len(same)) // (2 * pairs)
    wrong = same != (np.arange(len(same)) % (2 * pairs) < pairs)
    if wrong.any():
        raise ValueError(
            f"{file}: set {folds[wrong][0] + 1} must be {pairs} pairs of one person and then as "
            "many of two, as its first line says"
        )
    return folds


def _announced(location: Location, fields: list[str]) -> list[int]:
    if len(fields) > 2:
        raise ValueError(
            f"{location}: needed the number of pairs of each kind, or of sets and of pairs in each "
            "set; "
            f"got {' '.join(fields)!r}"
        )
    return [integer(location, field, "a number of pairs or sets", 1) for field in fields]


def _pair(location: Location, fields: list[str]) -> tuple[str, str, bool]:
    match fields:
        case [name, one, two] if one != two:
            return _file(location, name, one), _file(location, name, two), True
        case [name, one, other, two] if name != other:
            return _file(location, name, one), _file(location, other, two), False
    raise ValueError(
        f"{location}: needed a pair of two images as 'name 1 2' or 'name 1 other 3'; got "
        f"{' '.join(fields)!r}"
    )


def _file(location: Location, name: str, number: str) -> str:
    return f"{name}/{name}_{integer(location, number, 'the number of an image', 1):04d}.jpg"
