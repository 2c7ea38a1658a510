"""A set of labels an image."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from pytorch_lightning.utilities import rank_zero_warn

from ranklight.datamodules.batches import Batches, ShuffledBatches
from ranklight.datamodules.labels.kind import Labels, Rows
from ranklight.datamodules.labels.rows import RowLabels
from ranklight.datamodules.reading.found import first_names
from ranklight.datamodules.reading.tables import NO, YES, Table
from ranklight.datamodules.reading.transforms import Size, Transform, mirrored_whole, whole

if TYPE_CHECKING:
    import pyarrow

_SEPARATORS = ";|,"
_WRITTEN = {
    **dict.fromkeys(YES, 1.0),
    **dict.fromkeys(NO, 0.0),
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
        ValueError: Names beside columns; names or columns that repeat, are empty, or none.
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
            if given is not None and (
                not given or len(set(given)) < len(given) or not all(map(_is_name, given))
            ):
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
        known = np.column_stack([_known(rows.table, column) for column in self.columns])
        if not (known > 0).any():
            raise ValueError(
                f"{rows.table.file}: no row has a label in the columns {', '.join(self.columns)}"
            )
        return RowLabels(torch.from_numpy(known), tuple(self.columns))

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
        _warn_of_separators(table, self.column, self.separator, classes)
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
        text = table.texts(name)
        _check_no_lists(table, name, separator, text)
        column = compute.split_pattern(text, separator)
    elif not _is_list_of_names(column.type):
        raise ValueError(
            f"{table.file}: the column {name} holds {column.type}, where a text or a list of texts "
            "a row is needed"
        )
    row = compute.list_parent_indices(column).to_numpy()
    member = compute.utf8_trim_whitespace(compute.list_flatten(column).cast(pyarrow.string()))
    written = compute.not_equal(member, "").fill_null(False).to_numpy(zero_copy_only=False)
    encoded = _combined(member.filter(pyarrow.array(written))).dictionary_encode()
    codes = encoded.indices.to_numpy().astype(np.int64)
    return row[written].astype(np.int64), encoded.dictionary.to_pylist(), codes


def _is_name(given: object) -> bool:
    return isinstance(given, str) and bool(given.strip())


def _is_list_of_names(kind: "pyarrow.DataType") -> bool:
    from pyarrow import types

    lists = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return lists and not types.is_nested(kind.value_type)


def _check_no_lists(table: Table, name: str, separator: str, text: "pyarrow.StringArray") -> None:
    """Refuse lists as programs print them, which would be one class each."""
    from pyarrow import compute

    listed = compute.match_substring_regex(text, r"^\[.*\]$").to_numpy(zero_copy_only=False)
    if listed.any():
        row = int(listed.argmax())
        raise ValueError(
            f"{table[row]}: {name} is {text[row].as_py()!r}, a printed list: write "
            f"cat{separator}dog, or save the table as Parquet or JSON lines, which hold lists"
        )


def _warn_of_separators(table: Table, name: str, separator: str, classes: Sequence[str]) -> None:
    """Warn of names that hold what usually stands between names."""
    for other in _SEPARATORS:
        if other != separator and (holding := [each for each in classes if other in each]):
            rank_zero_warn(
                f"{table.file}: {len(holding)} of {len(classes)} names in the column {name} hold "
                f"{other!r}, and {separator!r} separates names (labels.separator): "
                f"{first_names(list(map(repr, holding)))}"
            )


def _combined(values: "pyarrow.Array | pyarrow.ChunkedArray") -> "pyarrow.Array":
    import pyarrow

    return values.combine_chunks() if isinstance(values, pyarrow.ChunkedArray) else values


def _known(table: Table, name: str) -> Float[np.ndarray, "rows"]:
    """1, 0 or −1 for each row of a column."""
    encoded = table.texts(name).dictionary_encode()
    written: Sequence[str] = encoded.dictionary.to_pylist()
    codes = encoded.indices.to_numpy()
    values = np.array([_WRITTEN.get(value.lower(), np.nan) for value in written], np.float32)
    known: NDArray[np.float32] = values[codes]
    if np.isnan(known).any():
        row = int(np.isnan(known).argmax())
        raise ValueError(
            f"{table[row]}: {name} is {written[codes[row]]!r}; needed 1, 0, or -1 (or ?, or "
            "nothing) for unknown"
        )
    return known
