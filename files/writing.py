"""Files that are whole, or as they were, and named when they cannot be written."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside a file to write to; it takes the file's place when all is written.

    Raises:
        OSError: It could not be written; names the file, which is as it was.
    """
    part = path.with_name(f"{path.name}.part")
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _taking_the_place_of(path, part):
            yield part


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """A folder beside another to write into; it takes the other's place when all is written.

    Raises:
        OSError: It could not be made; names the folder, which is as it was.
    """
    part, before = (folder.with_name(f"{folder.name}.{end}") for end in ("part", "before"))
    with naming(folder):
        for left in (part, before):
            shutil.rmtree(left, ignore_errors=True)
        part.mkdir(parents=True)
    try:
        yield part
        with naming(folder):
            if folder.exists():
                folder.rename(before)
            part.rename(folder)
    finally:
        for left in (part, before):
            shutil.rmtree(left, ignore_errors=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write beside the file, then take its place; of several that write, one wins whole.

    Args:
        path: Of the file.
        content: All of it.

    Raises:
        OSError: It cannot be written; the file is as it was.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with _taking_the_place_of(path, part):
        part.write_bytes(content if isinstance(content, bytes) else content.encode())


@contextmanager
def _taking_the_place_of(path: Path, part: Path) -> Iterator[None]:
    try:
        yield
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """A disk that is full says so without naming the file.

    Raises:
        OSError: It could not be written; names the file.
    """
    try:
        yield
    except OSError as error:
        raise OSError(
            f"{path} could not be written ({error.strerror or error}): make room or allow writing "
            "there; what was there before is untouched"
        ) from error
