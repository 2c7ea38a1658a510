"""Which images there are to embed: of a folder, a table, or a list of names."""

import os
from collections.abc import Iterator
from pathlib import Path

from ranklight.datamodules.reading.found import LeftOut
from ranklight.datamodules.reading.suffixes import suffixes, why_no_picture


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
    found = sorted(_images(folder, left_out, frozenset()))
    if not found:
        raise FileNotFoundError(
            f"no images in {folder}: looked for files that end in "
            f"{', '.join(sorted(suffixes()))}; {left_out}"
        )
    return found


def _images(folder: Path, left_out: LeftOut, above: frozenset[tuple[int, int]]) -> Iterator[Path]:
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:
        left_out.add("linked back to a folder above", folder)
        return
    try:
        entries = list(os.scandir(folder))
    except PermissionError as error:
        raise PermissionError(
            f"the folder {folder} may not be read: give this user the right to, or move it away"
        ) from error
    for entry in entries:
        if entry.name.startswith("."):
            left_out.add("hidden", entry.path)
        elif entry.is_dir():
            yield from _images(Path(entry.path), left_out, above | {here})
        elif not entry.is_file():
            left_out.add("linked to nothing", entry.path)
        elif reason := why_no_picture(entry.name):
            left_out.add(reason, entry.path)
        else:
            yield Path(entry.path)
