"""Many rows, a few at a time."""

from collections.abc import Iterator


def chunks(n: int, rows: int) -> Iterator[slice]:
    """Slices of at most `rows` that cover 0 .. n − 1."""
    for start in range(0, n, rows):
        yield slice(start, min(start + rows, n))
