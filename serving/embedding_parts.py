"""What is embedded of a list so far: whole parts in a folder beside the file to be."""

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ranklight.files.writing import naming, replacing
from ranklight.serving.image_lists import ImageList

if TYPE_CHECKING:
    import pyarrow

_PLAN, _LOCK = "plan.json", ".lock"


class EmbeddingParts:
    """Parts of some thousand rows, each written in one step: a process that is killed loses one.

    Args:
        output: The file that the parts will be; they lie in a folder of its name and `.parts`.
        rows: In the whole list.
        rows_in_part: In each part but the last.
    """

    def __init__(self, output: Path, rows: int, rows_in_part: int) -> None:
        self.folder = output.with_name(f"{output.name}.parts")
        self.rows, self.rows_in_part = rows, rows_in_part
        self.numbers = range(-(-rows // rows_in_part))

    def missing(self) -> list[int]:
        """Numbers of the parts that are not there."""
        return [number for number in self.numbers if not self._file(number).exists()]

    def positions(self, number: int) -> range:
        """Which rows of the list a part holds."""
        start = number * self.rows_in_part
        return range(start, min(start + self.rows_in_part, self.rows))

    def write(self, number: int, rows: "pyarrow.Table") -> None:
        """Write one, all or nothing.

        Raises:
            OSError: It could not be written; names the file.
        """
        from pyarrow import parquet

        with replacing(self._file(number)) as fresh:
            parquet.write_table(rows, fresh)

    def read(self) -> Iterator["pyarrow.Table"]:
        """All, in order."""
        from pyarrow import parquet

        for number in self.numbers:
            yield parquet.read_table(self._file(number))

    def broken(self) -> list[str]:
        """What is wrong with each image that cannot be read."""
        return [
            error for part in self.read() for error in part.column("error").drop_null().to_pylist()
        ]

    @contextmanager
    def claimed(self, plan: dict[str, Any]) -> Iterator[None]:
        """Be the only process that writes parts, and remove them when the file is written.

        Args:
            plan: What is embedded by what; parts of another plan are not gone on with.

        Raises:
            FileExistsError: Another process is at it, or the parts are of another plan.
            OSError: The folder cannot be written to.
        """
        with naming(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / _LOCK).open("a")
        with lock:
            try:
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise FileExistsError(
                    f"another process writes {self.folder}: wait for its end, or give another "
                    "--output"
                ) from error
            self._check(plan)
            yield
        shutil.rmtree(self.folder)

    def _check(self, plan: dict[str, Any]) -> None:
        file = self.folder / _PLAN
        if not file.exists():
            with replacing(file) as fresh:
                fresh.write_text(json.dumps(plan, indent=1) + "\n")
            return
        before = json.loads(file.read_text())
        if changed := [key for key in plan if before.get(key) != plan[key]]:
            raise FileExistsError(
                f"{self.folder} has a part of other embeddings ({', '.join(changed)} changed): "
                "remove the folder, or give another --output"
            )

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:06}.parquet"


def hash_of(images: ImageList) -> str:
    """16 hexadecimal digits that name a list: its files, boxes and columns."""
    digest = sha256()
    for file in images.files:
        digest.update(f"{file}\0".encode())
    digest.update(repr(images.boxes).encode())
    for column in () if images.columns is None else images.columns.itercolumns():
        digest.update(repr(column.to_pylist()).encode())
    return digest.hexdigest()[:16]
