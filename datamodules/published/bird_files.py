"""The text files of CUB-200-2011, whose format NABirds shares."""

from pathlib import Path
from typing import NamedTuple

from ranklight.datamodules.reading.annotations import Location, rows


class Bird(NamedTuple):
    """An image as it stands in images.txt, image_class_labels.txt and train_test_split.txt."""

    path: str
    class_id: str
    training: bool
    location: Location


def read_birds(root: Path) -> tuple[list[Bird], dict[str, str]]:
    """The images in the order of images.txt, and the name of each class id in use, in their order.

    images.txt has a line "id path", image_class_labels.txt "id class", train_test_split.txt
    "id flag" with 1 for training, and classes.txt "class name".

    Raises:
        FileNotFoundError: One of the files is missing.
        ValueError: A line is cut off, an unknown image or class, or another number of lines.
    """
    names = {key: name for _, (key, name) in rows(root / "classes.txt", 2, "class name")}
    paths = _table(root / "images.txt", "id path")
    labels = _of_every_image(root / "image_class_labels.txt", "id class", paths)
    flags = _of_every_image(root / "train_test_split.txt", "id flag", paths)
    birds = []
    for image, (location, path) in paths.items():
        if labels[image][1] not in names:
            raise ValueError(
                f"{labels[image][0]}: the class {labels[image][1]!r} is not in classes.txt"
            )
        if flags[image][1] not in ("0", "1"):
            raise ValueError(f"{flags[image][0]}: the flag must be 0 or 1; got {flags[image][1]!r}")
        birds.append(Bird(path, labels[image][1], flags[image][1] == "1", location))
    used = {bird.class_id for bird in birds}
    return birds, {key: names[key] for key in sorted(used, key=lambda key: (len(key), key))}


def _table(file: Path, needed: str) -> dict[str, tuple[Location, str]]:
    table: dict[str, tuple[Location, str]] = {}
    for location, (image, value) in rows(file, 2, needed):
        if image in table:
            raise ValueError(f"{location}: image {image!r} stands in {table[image][0]} too")
        table[image] = location, value
    return table


def _of_every_image(
    file: Path, needed: str, images: dict[str, tuple[Location, str]]
) -> dict[str, tuple[Location, str]]:
    table = _table(file, needed)
    for image, (location, _) in table.items():
        if image not in images:
            raise ValueError(f"{location}: image {image!r} is not in images.txt")
    if len(table) != len(images):
        first = next(image for image in images if image not in table)
        raise ValueError(
            f"{file} has {len(table)} lines, but {images[first][0].file} has {len(images)} images; "
            f"first without: {images[first][0]}"
        )
    return table
