"""A set of labels an image."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray

from ranklight.datamodules.batches import Batches, ShuffledBatches
from ranklight.datamodules.labels.kind import Labels, Rows
from ranklight.datamodules.labels.rows import RowLabels
from ranklight.datamodules.reading.tables import Table
from ranklight.datamodules.reading.transforms import Size, Transform, mirrored_whole, whole

if TYPE_CHECKING:
    import pyarrow

_WRITTEN = {
    **dict.fromkeys(("1", "1.0", "true", "yes"), 1.0),
    **dict.fromkeys(("0", "0.0", "false", "no"), 0.0),
    **dict.fromkeys(("", "?", "-1", "-1.0"), -1.0),
}


class LabelSet(Labels):
    """Several labels an image: multi-hot, float32, 1, 0, or −1 for unknown, one column a class.

    Either a column of sets, as `cat|dog` or as a list, where an empty one is an image without
    labels; or a column a class, of 1 (true, yes), 0 (false, no), or unknown (empty, ?, −1).

    By default batches are shuffled, some of the images are held out, and whole pictures are seen,
    for a crop might leave out what is labelled.

    Args:
        column: Of the sets.
        separator: What stands between the names of a set.
        names: Of all classes, in the order of the columns; by default those that occur, sorted.
        columns: Instead of a column of sets: the columns of the classes.

    Raises:
        ValueError: Names beside columns; names or columns that repeat, or none.
    """

    def __init__(
        self,
        column: str = "labels",
        separator: str = "|",
        names: list[str] | None = None,
        columns: list[str] | None = None,
    ) -> None:
        if names is not None and columns is not None:
            raise ValueError("give names for a column of sets, or columns, whose names they are")
        for given in (names, columns):
            if given is not None and (not given or len(set(given)) < len(given)):
                raise ValueError(f"the names of classes must be there, each once; got {given}")
        if not separator:
            raise ValueError("the separator of a label set must not be empty")
        self.column = column
        self.separator = separator
        self.names = names
        self.columns = columns

    def read(self, rows: Rows) -> RowLabels:
        """The multi-hot label of each row.

        Raises:
            ValueError: There is no such column, a name that is none of `names`, or a value that is
                none of the above; names the row.
        """
        if self.columns is None:
            return self._of_sets(rows.table)
        rows.table.check_has(*self.columns)
        known = [_known(rows.table, column) for column in self.columns]
        return RowLabels(torch.from_numpy(np.column_stack(known)), tuple(self.columns))

    def batches(self) -> Batches:
        """Shuffled ones."""
        return ShuffledBatches()

    def train_transforms(self, size: Size) -> list[Transform]:
        """The whole picture, mirrored half of the time."""
        return mirrored_whole(size)

    def eval_transforms(self, size: Size, resize: int) -> list[Transform]:
        """The whole picture."""
        return whole(size)

    def _of_sets(self, table: Table) -> RowLabels:
        row, names, codes = _members(table, self.column, self.separator)
        classes = sorted(names) if self.names is None else self.names
        column = {name: number for number, name in enumerate(classes)}
        unknown = np.array([name not in column for name in names], dtype=bool)
        if unknown.any():
            first = int(unknown[codes].argmax())
            raise ValueError(
                f"{table[int(row[first])]}: {self.column} has {names[codes[first]]!r}, which is "
                f"none of {', '.join(classes[:10])}{', ...' if len(classes) > 10 else ''}"
            )
        if not classes:
            raise ValueError(f"{table.file}: no row has a label in the column {self.column}")
        labels = torch.zeros(len(table), len(classes))
        columns = np.array([column[name] for name in names], dtype=np.int64)
        labels[torch.from_numpy(row), torch.from_numpy(columns[codes])] = 1
        return RowLabels(labels, tuple(classes))


def _members(
    table: Table, name: str, separator: str
) -> tuple[NDArray[np.int64], list[str], NDArray[np.int64]]:
    """Of each member of each set: its row, and which of the names it is."""
    import pyarrow
    from pyarrow import compute

    column = table.column(name)
    if not pyarrow.types.is_nested(column.type):
        column = compute.split_pattern(table.texts(name), separator)
    row = compute.list_parent_indices(column).to_numpy()
    member = compute.utf8_trim_whitespace(compute.list_flatten(column).cast(pyarrow.string()))
    written = compute.not_equal(member, "").fill_null(False).to_numpy(zero_copy_only=False)
    encoded = _combined(member.filter(pyarrow.array(written))).dictionary_encode()
    codes = encoded.indices.to_numpy().astype(np.int64)
    return row[written].astype(np.int64), encoded.dictionary.to_pylist(), codes


def _combined(values: "pyarrow.Array | pyarrow.ChunkedArray") -> "pyarrow.Array":
    import pyarrow

    return values.combine_chunks() if isinstance(values, pyarrow.ChunkedArray) else values


def _known(table: Table, name: str) -> Float[np.ndarray, "rows"]:
    """1, 0 or −1 for each row of a column."""
    encoded = table.texts(name).dictionary_encode()
    written: Sequence[str] = encoded.dictionary.to_pylist()
    codes = encoded.indices.to_numpy()
    known = np.array([_WRITTEN.get(value.lower(), np.nan) for value in written], np.float32)[codes]
    if np.isnan(known).any():
        row = int(np.isnan(known).argmax())
        raise ValueError(
            f"{table[row]}: {name} is {written[codes[row]]!r}; needed 1, 0, or -1 (or ?, or "
            "nothing) for unknown"
        )
    return known
