"""Annotation files, read so that what is wrong with them is named by file and line."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray
from pytorch_lightning.utilities import rank_zero_warn

SPLITS = ("train", "val", "test")
# As others write them, in any case.
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), 0),
    **dict.fromkeys(("val", "valid", "validation", "dev"), 1),
    **dict.fromkeys(("test", "testing"), 2),
}


def split_named(name: str) -> str | None:
    """Which of the three splits a folder or a value means, however it is written; None for none."""
    number = SPLIT_NAMES.get(name.lower())
    return None if number is None else SPLITS[number]


class Location(NamedTuple):
    """Where something is written: a file and its line or, in a binary file, its entry."""

    file: Path
    number: int
    unit: str = "line"

    def __str__(self) -> str:
        return f"{self.file}, {self.unit} {self.number}"


class Sample(NamedTuple):
    """An image of a data set, as its annotations have it.

    Args:
        file: The image file.
        split: 0 train, 1 val, 2 test.
        location: Where it is written.
        super_class: The number of the class above its own; None where there is none.
    """

    file: Path
    split: int
    location: Location
    super_class: int | None = None


def rows(
    file: Path, columns: int, needed: str, skip: int = 0
) -> Iterator[tuple[Location, tuple[str, ...]]]:
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
        location, fields = Location(file, number), tuple(line.strip().split(None, columns - 1))
        if len(fields) < columns:
            raise ValueError(f"{location}: needed {needed!r}; got {line!r}")
        yield location, fields


def read_text(file: Path) -> str:
    """A text file as it is, but for a byte order mark.

    Raises:
        FileNotFoundError: There is no such file; names it.
    """
    if not file.is_file():
        raise FileNotFoundError(f"there is no annotation file {file} (from {Path.cwd()})")
    return file.read_text(encoding="utf-8-sig", errors="replace")


def folder_within(root: Path, name: str) -> Path:
    """The folder of a name in a root, or the root itself: a release is unpacked either way."""
    return root / name if (root / name).is_dir() else root


def integer(
    location: Location, written: Any, what: str, first: int, last: int | None = None
) -> int:
    """A whole number in first..last, from text or from a variable of a MATLAB file.

    Raises:
        ValueError: It is none; names the location.
    """
    text = str(written).removesuffix(".0")
    if text.lstrip("-").isdecimal() and first <= int(text) <= (int(text) if last is None else last):
        return int(text)
    allowed = f"{first}..{last}" if last is not None else f"a number from {first} on"
    raise ValueError(f"{location}: {what} must be {allowed}; got {str(written)!r}")


def check_same_images(
    locations: Sequence[Location], names: Sequence[str], listed: Sequence[str]
) -> None:
    """Check that a file lists the images that another one does, in the same order.

    Args:
        locations: Where the names are written.
        names: Of images.
        listed: What they should be.

    Raises:
        ValueError: The first difference; names its line.
    """
    for number, (name, needed) in enumerate(zip_longest(names, listed)):
        if name != needed:
            end = locations[0].file if locations else "the file"
            needs = f"image {needed!r}" if needed else "no further line"
            raise ValueError(
                f"{locations[number] if name else end}: needed {needs}; got {name!r} "
                f"({len(names)} lines for {len(listed)} images)"
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
        variables = [name for name in content if not name.startswith("__")]
        raise ValueError(f"{file}: needed the variable {missing[0]!r}; it has {variables}")
    return tuple(np.asarray(content[name]).ravel() for name in names)


def check_files(images: Sequence[Sample]) -> None:
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
            f"{missing[0].location}: refers to the image {missing[0].file}, which does not exist "
            f"({len(missing)} of {len(images)} images are missing)"
        )
    empty = [image for image in images if image.file.stat().st_size == 0]
    if empty:
        raise ValueError(
            f"{empty[0].location}: refers to the image {empty[0].file}, which is empty "
            f"({len(empty)} of {len(images)} images are)"
        )


def check_disjoint(
    classes: Int[np.ndarray, "n"], splits: Int[np.ndarray, "n"], where: Sequence[object]
) -> None:
    """Check that no class of training is tested.

    Args:
        classes: Of each image.
        splits: 0 train, 2 test.
        where: Where each image is written.

    Raises:
        ValueError: One is; names the place.
    """
    shared = (splits == 2) & np.isin(classes, classes[splits == 0])
    if shared.any():
        raise ValueError(
            f"{where[int(shared.argmax())]}: the class occurs in training too; no class may be in "
            "both"
        )


def check_published_counts(
    name: str, images: Sequence[Sample], classes: int, published: Mapping[str, int]
) -> None:
    """Compare what was read with what was published.

    Args:
        name: Of the data set.
        images: All that were read.
        classes: How many there are.
        published: Number of "train", "val", "test" images and of "classes"; "trainval" is the two
            splits together.

    Raises:
        ValueError: A difference, with both numbers.
    """
    sizes = np.bincount([image.split for image in images], minlength=3).tolist()
    counts = {
        **dict(zip(SPLITS, sizes, strict=True)),
        "trainval": sizes[0] + sizes[1],
        "classes": classes,
    }
    check_counts(name, counts, published)


def check_counts(name: str, counts: Mapping[str, int], published: Mapping[str, int]) -> None:
    """Compare numbers of what was read with what was published.

    Args:
        name: Of the data set.
        counts: Number of "classes", and of images of anything else.
        published: What some of them should be.

    Raises:
        ValueError: A difference, with both numbers.
    """
    for what, number in published.items():
        if counts[what] != number:
            unit = "" if what == "classes" else " images"
            raise ValueError(
                f"{name} was published with {number} {what}{unit}, but {counts[what]} were read; "
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
