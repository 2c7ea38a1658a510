"""Images in folders, one folder a class."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ranklight.datamodules.reading.annotations import SPLIT_NAMES, SPLITS
from ranklight.datamodules.reading.found import LeftOut
from ranklight.datamodules.reading.suffixes import suffixes, why_no_picture

_Identity = tuple[int, int]
# Of macOS in archives, of network storage (thumbnails), of Windows.
_OF_SYSTEMS = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information")


class ClassFiles(NamedTuple):
    """Image files with the split and the class that their folders name.

    Args:
        files: In an order that no file system changes.
        splits: Of each file `train`, `val` or `test`, where the root holds these; else none.
        classes: The class of each file.
        left_out: What else there was.
    """

    files: list[Path]
    splits: list[str]
    classes: list[str]
    left_out: LeftOut


def read_class_folders(root: Path) -> ClassFiles:
    """The images in the class folders of a root, or in those of its folders train, val and test.

    The root holds splits where it has no other folder than these three, which may be in capitals,
    and called training, valid, validation, dev or testing. Links to files and folders
    are followed. What is hidden, no image, or beside the class folders is left out and counted.

    Raises:
        FileNotFoundError: There is no such folder, no class folder or no image in it, or it holds
            one split alone.
        PermissionError: A folder may not be read.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"the data folder {root} does not exist (from {Path.cwd()})")
    left_out = LeftOut(root)
    names = [path.name for path in _folders(root, LeftOut(root))]
    in_splits = bool(names) and all(name.lower() in SPLIT_NAMES for name in names)
    if in_splits:
        _check_splits(root, names)
        _folders(root, left_out)
    tops = [root / name for name in names] if in_splits else [root]
    found = sorted(file for top in tops for file in _images_of_classes(top, left_out))
    depth = len(root.parts)
    splits = [_split(file.parts[depth]) for file in found] if in_splits else []
    return ClassFiles(found, splits, [file.parts[depth + in_splits] for file in found], left_out)


def split_names_as_classes(classes: list[str]) -> list[str]:
    """Classes that are called like splits, which a root with other folders makes them."""
    return [name for name in dict.fromkeys(classes) if name.lower() in SPLIT_NAMES]


def _split(folder: str) -> str:
    return SPLITS[SPLIT_NAMES[folder.lower()]]


def _check_splits(root: Path, names: list[str]) -> None:
    splits = [_split(name) for name in names]
    if len(set(splits)) < len(splits):
        raise FileNotFoundError(
            f"{root} has the folders {', '.join(names)}, of which several are the same split; it "
            "needs one each of train, val and test"
        )
    if not {"train", "test"} <= set(splits):
        raise FileNotFoundError(
            f"{root} has the folders {', '.join(names)}; it needs train and test (val may be "
            "missing), or none of the three but one folder a class"
        )


def _images_of_classes(folder: Path, left_out: LeftOut) -> list[Path]:
    classes = _folders(folder, left_out)
    above = (_identity(folder),)
    files = [file for each in classes for file in images_within(each, left_out, above)]
    if not files:
        beside = left_out.counts.get("beside the class folders", 0)
        flat = f"; its {beside} images lie beside no class folder" if beside else ""
        raise FileNotFoundError(
            f"no images in {folder}: looked for class folders with files that end in "
            f"{', '.join(sorted(suffixes()))}{flat}; {left_out}. Give each class a folder of its "
            "own, or write a table for ImageTable"
        )
    return files


def _folders(folder: Path, left_out: LeftOut) -> list[Path]:
    """The folders in a folder, by name; files that lie beside them are left out."""
    folders = []
    for entry in _entries(folder):
        if _is_hidden(entry):
            left_out.add("hidden", entry.path)
        elif _is_folder(entry):
            folders.append(Path(entry.path))
        elif _is_image(entry, left_out):
            left_out.add("beside the class folders", entry.path)
    return folders


def images_within(
    folder: Path, left_out: LeftOut, above: tuple[_Identity, ...] = ()
) -> Iterator[Path]:
    """The images of a folder and of those in it, links followed, in the order of their names.

    Args:
        folder: What systems keep in it for themselves, and what is hidden, is left out.
        left_out: Counts what is no image.
        above: The folders that lead to it.

    Raises:
        PermissionError: A folder may not be read.
    """
    here = _identity(folder)
    if here in above:
        left_out.add("linked back to a folder above", folder)
        return
    for entry in _entries(folder):
        if _is_hidden(entry):
            left_out.add("hidden", entry.path)
        elif _is_folder(entry):
            yield from images_within(Path(entry.path), left_out, (*above, here))
        elif _is_image(entry, left_out):
            yield Path(entry.path)


def _is_hidden(entry: "os.DirEntry[str]") -> bool:
    """Whether a system keeps its own things there."""
    return entry.name.startswith(".") or entry.name in _OF_SYSTEMS


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_image(entry: "os.DirEntry[str]", left_out: LeftOut) -> bool:
    if not os.path.isfile(entry.path):
        left_out.add("linked to nothing", entry.path)
        return False
    if reason := why_no_picture(entry.name):
        left_out.add(reason, entry.path)
        return False
    return True


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except PermissionError as error:
        raise PermissionError(
            f"the folder {folder} may not be read: give this user the right to, or move it away"
        ) from error


def _identity(folder: Path) -> _Identity:
    status = folder.stat()
    return status.st_dev, status.st_ino
