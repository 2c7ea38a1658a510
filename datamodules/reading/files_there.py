"""Whether files are there, and with how many bytes."""

import os
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Int

from ranklight.datamodules.reading.annotations import Location

_AT_ONCE, _THREADS = 4096, 16


def file_sizes(files: Sequence[str]) -> Int[np.ndarray, "files"]:
    """The bytes of each file, −1 where there is none.

    By several threads: on a network file system each question waits for its answer.

    Raises:
        PermissionError: A folder may not be entered.
    """
    parts = [files[start : start + _AT_ONCE] for start in range(0, len(files), _AT_ONCE)]
    with ThreadPoolExecutor(_THREADS) as pool:
        sizes = pool.map(lambda part: [_size(file) for file in part], parts)
        return np.array([size for part in sizes for size in part], np.int64)


def check_files_there(
    source: str, files: Sequence[str], locations: Sequence[Location] | None = None
) -> None:
    """Look for every file before training comes to one that is not there, or is empty.

    Args:
        source: What names them, for messages.
        files: May repeat.
        locations: Where each is named; None where each file is itself.

    Raises:
        FileNotFoundError: Some file is missing; names the first.
        ValueError: Some file has no content.
    """
    names = list(dict.fromkeys(files))
    size = dict(zip(names, file_sizes(names).tolist(), strict=True))
    sizes = np.array([size[file] for file in files])
    for broken, error, words in (
        (sizes < 0, FileNotFoundError, "do not exist"),
        (sizes == 0, ValueError, "are empty"),
    ):
        if broken.any():
            row = int(broken.argmax())
            if error is FileNotFoundError and os.path.exists(files[row]):
                words = "are folders or devices"
            where = "" if locations is None else f" ({locations[row]})"
            none = broken.all() and error is FileNotFoundError and locations is not None
            hint = ": set root to the folder where relative names begin" if none else ""
            raise error(
                f"{broken.sum()} of {len(sizes)} image files of {source} {words}, first "
                f"{files[row]}{where}{hint}"
            )


def _size(file: str) -> int:
    try:
        status = os.stat(file)
    except PermissionError as error:
        raise PermissionError(
            f"the folder of {file} may not be entered: give this user the right to"
        ) from error
    except (OSError, ValueError):
        return -1
    return status.st_size if stat.S_ISREG(status.st_mode) else -1
