"""Parquet files that are damaged, named."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def readable(file: Path, advice: str) -> Iterator[None]:
    """Name the file where pyarrow, which often does not, says that one cannot be read.

    Args:
        file: That is read within.
        advice: What to do.

    Raises:
        ValueError: It is no whole Parquet file.
    """
    from pyarrow import ArrowException

    try:
        yield
    except (ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{file} is no Parquet file that can be read: {advice} ({reason})"
        ) from error
