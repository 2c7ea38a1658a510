"""What the scripts of this folder share: a target is built beside its place, then put there."""

import csv
import shutil
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def built_whole(target: Path) -> Iterator[Path]:
    """An empty folder to build in, which takes the target's place at the end, and only then.

    What an interrupted build left is removed by the next.
    """
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    yield partial
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)


def copy(file: Path, target: Path) -> None:
    """Copy a file as it is, with the folders above its target."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, target)


def write_table(file: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A CSV file with a header."""
    with file.open("w", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(columns)
        writer.writerows(rows)


def megabytes(folder: Path) -> str:
    """What the files below a folder hold together."""
    total = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return f"{total / 1e6:.0f} MB"


def split_of(name: str, train: int) -> str:
    """So many tenths are for training, one for validation, the others for test.

    The name alone decides, so it stays in its split whatever else is added.
    """
    tenth = zlib.crc32(name.encode()) % 10
    if tenth < train:
        return "train"
    return "val" if tenth == train else "test"
