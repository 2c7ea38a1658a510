"""Which images there are to embed: of a folder, a table, or a list of names."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ranklight.datamodules.reading.annotations import split_named
from ranklight.datamodules.reading.boxes import SIDES, whole_pixels
from ranklight.datamodules.reading.class_folders import images_within
from ranklight.datamodules.reading.found import LeftOut
from ranklight.datamodules.reading.pictures import Box
from ranklight.datamodules.reading.suffixes import suffixes, why_no_picture
from ranklight.datamodules.reading.tables import read_table
from ranklight.files.text import read_text_file

if TYPE_CHECKING:
    import pyarrow

_TABLES = (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson")


def images_below(folder: Path, left_out: LeftOut | None = None) -> list[Path]:
    """Every image of a folder and of those in it, sorted by path; what is hidden is left out.

    Args:
        folder: Links to files and folders in it are followed.
        left_out: Counts what is no image.

    Raises:
        FileNotFoundError: There is none.
        PermissionError: A folder may not be read.
    """
    left_out = LeftOut(folder) if left_out is None else left_out
    found = sorted(images_within(folder, left_out))
    if not found:
        raise FileNotFoundError(
            f"no images in {folder}: looked for files that end in "
            f"{', '.join(sorted(suffixes()))}; {left_out}"
        )
    return found


class ImageList(NamedTuple):
    """The images to embed, in order.

    Args:
        files: Their paths.
        boxes: The part of each that is the image; None for whole pictures.
        columns: What else is known of each, `label` among it; None for nothing.
        source: Where they were found, for messages.
        left_out: What else there was.
    """

    files: list[str]
    boxes: list[Box] | None
    columns: "pyarrow.Table | None"
    source: str
    left_out: LeftOut | None = None


def list_images(source: str, image: str | None = None, root: str | None = None) -> ImageList:
    """The images of a folder, a table, a file of names, an image, or of names on standard input.

    Of a folder whose images lie in folders, `label` is the name of the uppermost; where these are
    splits and no others, as of `read_class_folders`, that is `split`, by the names train, val and
    test, and `label` the folder below.

    Args:
        source: A folder; a table (.csv, .tsv, .parquet, .jsonl, .ndjson); a .txt with a name a
            line; an image; or - for names on standard input.
        image: Column of the paths in a table; None: `image`. Columns x1, y1, x2, y2 are a box in
            the picture.
        root: Where relative paths of a table or a list begin; by default the folder of the table,
            and the current one of a list.

    Raises:
        FileNotFoundError: There is no such source or root, or no image in a folder.
        ValueError: A table or a list that names no image, a name that is no text, or a column or a
            root of what has none.
    """
    if root is not None and not Path(root).is_dir():
        raise FileNotFoundError(f"--root must be a folder; there is no {root} (from {Path.cwd()})")
    found = _listed(source, image, root)
    for file in found.files:
        try:
            file.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"the name of {file!a} must be UTF-8, as text in a table is: rename the file"
            ) from error
    return found


def _listed(source: str, image: str | None, root: str | None) -> ImageList:
    path = Path(source)
    if source != "-" and (not source or not path.exists()):
        raise FileNotFoundError(
            f"there is no folder, table or image {source or 'without a name'} (from {Path.cwd()})"
        )
    if source != "-" and path.suffix.lower() in _TABLES and path.is_file():
        return _of_table(path, image or "image", path.parent if root is None else Path(root))
    if image is not None:
        raise ValueError(f"--image is a column of a table, and {source} is none: leave it out")
    if source == "-":
        return _of_lines(sys.stdin, "standard input", root)
    if path.suffix.lower() == ".txt" and path.is_file():
        return _of_lines(read_text_file(path, "list of images").split("\n"), source, root)
    if root is not None:
        raise ValueError(
            f"--root is where names of a table or a list begin, and {source} is none: leave it out"
        )
    if path.is_dir():
        return _of_folder(path)
    if reason := why_no_picture(path.name):
        raise ValueError(f"{path} is no folder, table or image: {reason}")
    return ImageList([source], None, None, source)


def _of_folder(folder: Path) -> ImageList:
    import pyarrow

    left_out = LeftOut(folder)
    files = images_below(folder, left_out)
    folders = [file.parts[len(folder.parts) : -1] for file in files]
    in_splits = all(split_named(names[0]) for names in folders if names)
    labels = [names[in_splits] if len(names) > in_splits else None for names in folders]
    splits = [split_named(names[0]) if in_splits and names else None for names in folders]
    named = {"split": splits, "label": labels}
    columns = {name: pyarrow.array(values) for name, values in named.items() if any(values)}
    known = pyarrow.table(columns) if columns else None
    return ImageList([str(file) for file in files], None, known, str(folder), left_out)


def _of_lines(lines: Iterable[str], source: str, root: str | None) -> ImageList:
    names = [line.rstrip("\r\n") for line in lines]
    files = [str(Path(root or "") / name) for name in names if name.strip()]
    if not files:
        raise ValueError(f"{source} names no image: needed is a path a line")
    return ImageList(files, None, None, source)


def _of_table(path: Path, image: str, root: Path) -> ImageList:
    import pyarrow

    table = read_table(path)
    names = table.texts(image).to_pylist()
    if "" in names:
        raise ValueError(f"{table[names.index('')]}: {image} is empty")
    further = {name: table.column(name) for name in table.names if name != image}
    boxes = None
    if all(table.has(name, name) for name in SIDES):
        boxes = whole_pixels(table.numbers(SIDES))
        sides = zip(*boxes, strict=True)
        further |= {name: pyarrow.array(side) for name, side in zip(SIDES, sides, strict=True)}
    # A spreadsheet on Windows writes these.
    files = [str(root / name.replace("\\", "/")) for name in names]
    return ImageList(files, boxes, pyarrow.table(further) if further else None, str(path))
