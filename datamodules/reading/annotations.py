"""Annotation files, read so that what is wrong with them is named by file and line."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray
from pytorch_lightning.utilities import rank_zero_warn

PARTS = ("train", "val", "test")


class Place(NamedTuple):
    """Where something is written: a file and its line or, in a binary file, its entry."""

    file: Path
    number: int
    unit: str = "line"

    def __str__(self) -> str:
        return f"{self.file}, {self.unit} {self.number}"


class Listed(NamedTuple):
    """An image of a data set, as its annotations have it.

    Args:
        file: The image file.
        part: 0 train, 1 val, 2 test.
        place: Where it is written.
    """

    file: Path
    part: int
    place: Place


def rows(
    file: Path, columns: int, needed: str, skip: int = 0
) -> Iterator[tuple[Place, tuple[str, ...]]]:
    """The lines of a text file as columns; the last column holds the rest of its line.

    Args:
        file: The annotation file.
        columns: How many.
        needed: What a line should be, for the message.
        skip: Lines of a heading.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A line with fewer columns; names it.
    """
    for number, line in enumerate(read_text(file).splitlines()[skip:], skip + 1):
        place, found = Place(file, number), tuple(line.strip().split(None, columns - 1))
        if len(found) < columns:
            raise ValueError(f"{place}: needed {needed!r}; got {line!r}")
        yield place, found


def read_text(file: Path) -> str:
    """A text file as it is.

    Raises:
        FileNotFoundError: There is no such file; names it.
    """
    if not file.is_file():
        raise FileNotFoundError(f"there is no annotation file {file} (from {Path.cwd()})")
    return file.read_text(encoding="utf-8", errors="replace")


def integer(place: Place, written: Any, what: str, first: int, last: int | None = None) -> int:
    """A whole number in first..last, from text or from a variable of a MATLAB file.

    Raises:
        ValueError: It is none; names the place.
    """
    text = str(written).removesuffix(".0")
    if text.lstrip("-").isdecimal() and first <= int(text) <= (int(text) if last is None else last):
        return int(text)
    allowed = f"{first}..{last}" if last is not None else f"a number from {first} on"
    raise ValueError(f"{place}: {what} must be {allowed}; got {str(written)!r}")


def same_images(places: Sequence[Place], names: Sequence[str], listed: Sequence[str]) -> None:
    """Check that a file lists the images that another one does, in the same order.

    Args:
        places: Where the names are written.
        names: Of images.
        listed: What they should be.

    Raises:
        ValueError: The first difference; names its line.
    """
    for number, (name, needed) in enumerate(zip_longest(names, listed)):
        if name != needed:
            place = places[number] if name else f"{places[0].file if places else 'the file'}"
            needs = f"image {needed!r}" if needed else "no further line"
            raise ValueError(
                f"{place}: needed {needs}; got {name!r} ({len(names)} lines for "
                f"{len(listed)} images)"
            )


def matlab(file: Path, *names: str) -> tuple[NDArray[Any], ...]:
    """Variables of a MATLAB file, each as a vector.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is cut off or lacks a variable; names it.
    """
    # Here, because every import of this package would wait for it.
    from scipy.io import loadmat

    if not file.is_file():
        raise FileNotFoundError(f"there is no annotation file {file} (from {Path.cwd()})")
    try:
        content = loadmat(file)
    except Exception as error:
        raise ValueError(f"{file} is no readable MATLAB file: {error!r}") from error
    if missing := [name for name in names if name not in content]:
        found = [name for name in content if not name.startswith("__")]
        raise ValueError(f"{file}: needed the variable {missing[0]!r}; it has {found}")
    return tuple(np.asarray(content[name]).ravel() for name in names)


def refuse_missing(images: Sequence[Listed]) -> None:
    """Look for every image before training comes to one that is not there, or is empty.

    Raises:
        FileNotFoundError: Some image is missing; names the first, and the line that refers to it.
        ValueError: No images at all, or some file has no content.
    """
    if not images:
        raise ValueError("the annotations list no images")
    missing = [image for image in images if not image.file.is_file()]
    if missing:
        raise FileNotFoundError(
            f"{missing[0].place}: refers to the image {missing[0].file}, which does not exist "
            f"({len(missing)} of {len(images)} images are missing)"
        )
    empty = [image for image in images if image.file.stat().st_size == 0]
    if empty:
        raise ValueError(
            f"{empty[0].place}: refers to the image {empty[0].file}, which is empty "
            f"({len(empty)} of {len(images)} images are)"
        )


def refuse_other_counts(
    name: str, images: Sequence[Listed], classes: int, published: Mapping[str, int]
) -> None:
    """Compare what was read with what was published.

    Args:
        name: Of the data set.
        images: All that were read.
        classes: How many there are.
        published: Number of "train", "val", "test" images and of "classes"; "trainval" is the two
            parts together.

    Raises:
        ValueError: A difference, with both numbers.
    """
    parts = np.bincount([image.part for image in images], minlength=3).tolist()
    found = {
        **dict(zip(PARTS, parts, strict=True)),
        "trainval": parts[0] + parts[1],
        "classes": classes,
    }
    for what, number in published.items():
        if found[what] != number:
            unit = "" if what == "classes" else " images"
            raise ValueError(
                f"{name} was published with {number} {what}{unit}, but {found[what]} were read; "
                "to work with another selection on purpose, set check_counts to false"
            )


def warn_never_seen(class_names: Sequence[str], seen: Int[np.ndarray, " classes"]) -> None:
    """Warn of classes that never occur in training: nothing of them can be learnt.

    A warning, not an error: a part of a data set is enough to try things out.
    """
    never = [name for name, images in zip(class_names, seen, strict=True) if not images]
    if never:
        rank_zero_warn(
            f"{len(never)} of {len(class_names)} classes never occur in training, and nothing of "
            f"them can be learnt: {', '.join(never[:5])}{', ...' if len(never) > 5 else ''}"
        )
