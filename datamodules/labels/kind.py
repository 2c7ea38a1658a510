"""What every kind of label says of itself."""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np
from jaxtyping import Bool

from ranklight.datamodules.batches import Batches
from ranklight.datamodules.labels.rows import RowLabels
from ranklight.datamodules.reading.tables import Table
from ranklight.datamodules.table_splits import HeldOutBy


class Rows(NamedTuple):
    """What a kind of label reads.

    Args:
        table: The table.
        image: Name of the column of images.
        distractor: Which rows are the answer to no query, and may have no label.
    """

    table: Table
    image: str
    distractor: Bool[np.ndarray, "rows"]


class Labels(ABC):
    """A kind of label: what it reads, and how one trains on it where nothing else is said.

    Attributes:
        held_out_by: How splits are held out by default.
        whole_objects: Whether training must see the whole picture, for what is labelled may stand
            in its corner.
        mirrored: Whether a mirrored picture has the same label.
    """

    held_out_by: ClassVar[HeldOutBy] = "image"
    whole_objects: ClassVar[bool] = False
    mirrored: ClassVar[bool] = True

    @abstractmethod
    def read(self, rows: Rows) -> RowLabels:
        """The labels of all rows.

        Raises:
            ValueError: A column is missing, or a value cannot be; names the row.
        """

    @abstractmethod
    def batches(self) -> Batches:
        """How training batches are drawn by default."""
