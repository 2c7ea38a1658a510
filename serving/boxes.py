"""The parts of pictures that rows of a table are of."""

from typing import TYPE_CHECKING

from ranklight.datamodules.reading.pictures import Box

if TYPE_CHECKING:
    import pyarrow

Shown = tuple[str, Box | None]
"""What is looked at: a file, or a box in it."""
SIDES = ("x1", "y1", "x2", "y2")
"""The columns of a box, in pixels of the upright picture."""


def boxes_of(table: "pyarrow.Table") -> list[Box | None]:
    """The box of each row; None where it is of a whole picture."""
    if not set(SIDES) <= set(table.column_names):
        return [None] * table.num_rows
    sides = zip(*(table[name].to_pylist() for name in SIDES), strict=True)
    return [None if None in box else box for box in sides]


def shown_in(table: "pyarrow.Table") -> list[Shown]:
    """What each row shows."""
    return list(zip(table["file"].to_pylist(), boxes_of(table), strict=True))
