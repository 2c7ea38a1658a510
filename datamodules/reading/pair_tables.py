"""Lists of pairs of images that show the same, or not: a table, or a file in the format of LFW."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int

from ranklight.datamodules.reading.pair_files import PairFile, read_pairs
from ranklight.datamodules.reading.tables import NO, YES, Table, read_table

_SAME = {**dict.fromkeys(YES, True), **dict.fromkeys(NO, False)}


def read_pair_table(file: Path) -> PairFile:
    r"""A table with the columns first, second and same (1 or 0), and fold where there are folds.

    A file that ends in .txt is one of LFW, see `read_pairs`; where its first line announces several
    sets, these are the folds.

        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        ...     _ = file.write("first,second,same\na.png,b.png,1\na.png,c.png,0\n")
        ...     file.flush()
        ...     read_pair_table(Path(file.name)).same.tolist()
        [True, False]

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A column is missing, what is in it is empty, or not 1 or 0; or an image is
            paired with itself.
    """
    if file.suffix.lower() == ".txt":
        return read_pairs(file)
    table = read_table(file)
    table.check_has("first", "second", "same")
    first, second = (_named(table, name) for name in ("first", "second"))
    for row, pair in enumerate(zip(first, second, strict=True)):
        if pair[0] == pair[1]:
            raise ValueError(f"{table[row]}: the image {pair[0]!r} is paired with itself")
    return PairFile(first, second, _same(table), _folds(table))


def _named(table: Table, name: str) -> list[str]:
    """A column in which no row is empty."""
    written: list[str] = table.texts(name).to_pylist()
    if "" in written:
        raise ValueError(f"{table[written.index('')]}: {name} is empty")
    return written


def _same(table: Table) -> Bool[np.ndarray, "p"]:
    written = [str(value).strip().lower() for value in table.texts("same").to_pylist()]
    for row, value in enumerate(written):
        if value not in _SAME:
            raise ValueError(f"{table[row]}: same is 1 or 0 (yes or no); got {value!r}")
    return np.array([_SAME[value] for value in written])


def _folds(table: Table) -> Int[np.ndarray, "p"] | None:
    if not table.has("fold", "fold"):
        return None
    _, folds = np.unique(_named(table, "fold"), return_inverse=True)
    return folds
