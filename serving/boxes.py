"""The parts of pictures that rows of a table are of."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ranklight.datamodules.reading.boxes import SIDES
from ranklight.datamodules.reading.pictures import Box

if TYPE_CHECKING:
    import pyarrow

Shown = tuple[str, Box | None]
"""What is looked at: a file, or a box in it."""


def boxes_of(table: "pyarrow.Table") -> list[Box | None]:
    """The box of each row; None where it is of a whole picture."""
    names = [name for name in SIDES if name in table.column_names]
    return boxes_in({name: table[name].to_pylist() for name in names}, table.num_rows)


def boxes_in(columns: Mapping[str, Sequence[Any]], rows: int) -> list[Box | None]:
    """The box of each of so many rows, from the columns that are there."""
    if not set(SIDES) <= columns.keys():
        return [None] * rows
    sides = zip(*(columns[name] for name in SIDES), strict=True)
    return [None if None in box else box for box in sides]


def shown_in(table: "pyarrow.Table") -> list[Shown]:
    """What each row shows."""
    return list(zip(table["file"].to_pylist(), boxes_of(table), strict=True))
