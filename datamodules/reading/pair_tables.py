"""Lists of pairs of images that show the same, or not: a table, or a file in the format of LFW."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int

from ranklight.datamodules.reading.pair_files import PairFile, read_pairs
from ranklight.datamodules.reading.tables import Table, read_table

_SAME = {"1": True, "true": True, "0": False, "false": False}


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
        ValueError: A column is missing, or what is in it is no name, not 1 or 0, or no number.
    """
    if file.suffix == ".txt":
        return read_pairs(file)
    table = read_table(file)
    table.check_has("first", "second", "same")
    first, second = (table.texts(name).to_pylist() for name in ("first", "second"))
    return PairFile(first, second, _same(table), _folds(table))


def _same(table: Table) -> Bool[np.ndarray, "p"]:
    written = [str(value).strip().lower() for value in table.texts("same").to_pylist()]
    for row, value in enumerate(written):
        if value not in _SAME:
            raise ValueError(f"{table[row]}: same is 1 or 0; got {value!r}")
    return np.array([_SAME[value] for value in written])


def _folds(table: Table) -> Int[np.ndarray, "p"] | None:
    if "fold" not in table.names:
        return None
    _, folds = np.unique(table.texts("fold").to_pylist(), return_inverse=True)
    return folds
