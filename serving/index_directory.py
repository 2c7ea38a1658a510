"""Where an index lies on disk: the newest whole version, one writer, and nothing half-written.

    DIR/index.json                  facts, and the name of the version's folder; replaced last
    DIR/version-1f0c9a2e/index.faiss
    DIR/version-1f0c9a2e/files.parquet

Two files cannot be replaced at once, so each version has a folder of its own: whoever is stopped
while writing leaves a folder that `index.json` does not name, which the next writer removes.
"""

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from ranklight.files.writing import naming, replacing

FACTS, LOCK = "index.json", ".lock"
VECTORS, FILES = "index.faiss", "files.parquet"
_VERSION = "version-"
_FACTS = (
    *("encoder", "run", "root", "rows", "dimensions", "normalised", "threshold"),
    *("layout", "measured"),
)


def read_facts(directory: Path) -> tuple[dict[str, Any], Path]:
    """What is said of the newest version, and its folder.

    Raises:
        FileNotFoundError: There is no index.
        ValueError: `index.json` is damaged.
    """
    path = directory / FACTS
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no index in {directory}: `ranklight index RUN IMAGES --output {directory}` "
            "makes one"
        )
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        folder = directory / facts["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} must hold an index's facts as JSON: build the index again ({error!r})"
        ) from error
    if missing := [name for name in _FACTS if name not in facts]:
        raise ValueError(
            f"{path} must say the {', '.join(missing)} of an index, as this version of ranklight "
            "writes them: build the index again"
        )
    return facts, folder


@contextmanager
def new_version(directory: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """A folder to write the next version into, and its facts to fill in.

    It takes the place of the version before when all is written; until then, and whatever happens,
    readers have the one before.

    Raises:
        FileExistsError: Another process writes an index there, or the directory holds other things.
        OSError: Something could not be written.
    """
    check_is_for_an_index(directory)
    with naming(directory):
        directory.mkdir(parents=True, exist_ok=True)
    with _only_writer(directory):
        _remove_unnamed(directory)
        fresh = directory / f"{_VERSION}{uuid4().hex[:8]}"
        facts: dict[str, Any] = {}
        try:
            with naming(directory):
                fresh.mkdir()
            yield fresh, facts
            with replacing(directory / FACTS) as part:
                part.write_text(json.dumps({**facts, "version": fresh.name}, indent=1) + "\n")
        finally:
            _remove_unnamed(directory)


def check_is_for_an_index(directory: Path) -> None:
    """Refuse a directory of other things, which nobody wants an index among.

    Raises:
        FileExistsError: It holds something else, or is a file.
    """
    if not directory.exists():
        return
    if not directory.is_dir():
        raise FileExistsError(f"{directory} is a file: give --output a directory of its own")
    ours = (FACTS, LOCK, _VERSION)
    if other := [path for path in sorted(directory.iterdir()) if not path.name.startswith(ours)]:
        raise FileExistsError(
            f"{directory} holds {other[0].name}, which is of no index: give --output a directory "
            "of its own"
        )


@contextmanager
def _only_writer(directory: Path) -> Iterator[None]:
    with naming(directory):
        file = (directory / LOCK).open("w")
    with file:
        try:
            # Of the process, not of the file as flock is: a worker that outlives it holds no lock.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise FileExistsError(
                f"another process writes the index {directory}: wait for its end, or give another "
                "--output"
            ) from error
        yield


def _remove_unnamed(directory: Path) -> None:
    facts = directory / FACTS
    named = read_facts(directory)[1].name if facts.is_file() else None
    for folder in directory.glob(f"{_VERSION}*"):
        if folder.name != named:
            shutil.rmtree(folder)
