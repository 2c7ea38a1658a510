"""Whether files are there, and with how many bytes."""

import os
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Int

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
