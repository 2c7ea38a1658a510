"""What every kind of label says of itself."""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np
from jaxtyping import Bool

from ranklight.datamodules.batches import Batches
from ranklight.datamodules.labels.rows import RowLabels
from ranklight.datamodules.reading.tables import Table
from ranklight.datamodules.reading.transforms import Size, Transform, center, random_part
from ranklight.datamodules.table_splits import HeldOutBy


class Rows(NamedTuple):
    """What a kind of label reads.

    Args:
        table: The table.
        image: Name of the column of images.
        distractor: Which rows are the answer to no query, and may have no label.
        junk: Which are neither right nor wrong, and left out, whatever their label.
    """

    table: Table
    image: str
    distractor: Bool[np.ndarray, "rows"]
    junk: Bool[np.ndarray, "rows"]


class Labels(ABC):
    """A kind of label: what it reads, and how one trains on it where nothing else is said.

    Attributes:
        held_out_by: How splits are held out by default.
    """

    held_out_by: ClassVar[HeldOutBy] = "image"

    @abstractmethod
    def read(self, rows: Rows) -> RowLabels:
        """The labels of all rows.

        Raises:
            ValueError: A column is missing, or a value cannot be; names the row.
        """

    @abstractmethod
    def batches(self) -> Batches:
        """How training batches are drawn by default."""

    def train_transforms(self, size: Size) -> list[Transform]:
        """What training does to a picture by default: a random part, mirrored half of the time."""
        return random_part(size)

    def eval_transforms(self, size: Size, resize: int) -> list[Transform]:
        """What evaluation does to a picture by default: the center is cut out."""
        return center(size, resize)
