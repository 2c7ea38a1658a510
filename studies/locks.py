"""Which of several processes, perhaps on several machines, does a piece of work."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def claimed(file: Path, wait: bool = False) -> Iterator[bool]:
    """Whether this process has a piece of work until the block ends.

    The system takes the lock away with the process, so what a killed one had is free at once.
    A shared file system must have POSIX locks (NFS 4, Lustre with `flock`).

    Args:
        file: Stands for the work; it is made, and stays.
        wait: Until another has done it; then the answer is always yes.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as handle:
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except (BlockingIOError, PermissionError):
            yield False
            return
        yield True
