"""Numbers as labels."""

import numpy as np
import torch
from jaxtyping import Float
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor
from torchvision.transforms import v2

from ranklight.datamodules.batches import Batches, NearestBatches
from ranklight.datamodules.labels.kind import Labels, Rows
from ranklight.datamodules.labels.rows import RowLabels
from ranklight.datamodules.reading.tables import Table
from ranklight.datamodules.reading.transforms import Size, Transform


class Numbers(Labels):
    """Continuous labels, float32, one column each, times `weights`.

    How far images are apart is the Euclidean distance of these, so columns of different units want
    weights: 1 over the difference that counts as much as another column's. A Parquet file or JSON
    lines may have vectors in a column. What float32 cannot tell apart is warned of.

    By default batches are `NearestBatches`, some of the images are held out, and nothing is
    mirrored, for left and right may be in the labels.

    Args:
        columns: Names of the label columns.
        weights: One number a label column; by default 1.

    Raises:
        ValueError: No columns, or another number of weights.
    """

    def __init__(self, columns: list[str], weights: list[float] | None = None) -> None:
        if not columns:
            raise ValueError("numbers need at least one label column; got none")
        if weights is not None and len(weights) != len(columns):
            raise ValueError(f"{len(columns)} label columns need as many weights, got {weights}")
        self.columns = columns
        self.weights = weights

    def read(self, rows: Rows) -> RowLabels:
        """The weighted numbers of each row.

        Raises:
            ValueError: There is no such column, or a value that is no finite number; names the row.
        """
        return RowLabels(float32_numbers(rows.table, self.columns, self.weights))

    def batches(self) -> Batches:
        """Anchors with the images of the nearest labels."""
        return NearestBatches()

    def train_transforms(self, size: Size) -> list[Transform]:
        """A random part of at least 64 % of the area."""
        return [v2.RandomResizedCrop(size, (0.64, 1.0))]


def float32_numbers(
    table: Table, columns: list[str], weights: list[float] | None = None
) -> Float[Tensor, "rows k"]:
    """Columns of numbers side by side, in float32, times weights.

    Raises:
        ValueError: There is no such column, or a value that is no finite number of float32.
    """
    labels = np.empty((len(table), 0), np.float32)
    for number, name in enumerate(columns):
        exact = table.numbers([name])
        with np.errstate(over="ignore"):
            rounded = exact.astype(np.float32)
        _check_rounding(table, name, exact, rounded)
        weight = np.float32(1 if weights is None else weights[number])
        labels = np.hstack([labels, rounded * weight])
    return torch.from_numpy(labels)


def _check_rounding(
    table: Table,
    name: str,
    exact: Float[np.ndarray, "rows k"],
    rounded: Float[np.ndarray, "rows k"],
) -> None:
    """Refuse what float32 cannot hold, and warn of what it cannot tell apart."""
    infinite = ~np.isfinite(rounded).all(1)
    if infinite.any():
        row = int(infinite.argmax())
        raise ValueError(f"{table[row]}: {name} is {exact[row].max():g}, beyond float32")
    whole = ((exact != rounded) & (exact == np.rint(exact))).any(1)
    merged = any(
        len(np.unique(one)) > len(np.unique(other))
        for one, other in zip(exact.T, rounded.T, strict=True)
    )
    if whole.any() or merged:
        row = int(whole.argmax())
        rank_zero_warn(
            f"{table.file}: labels are float32, which rounds the column {name} (in row {row + 1} "
            f"{float(exact[row, 0])!r} to {float(rounded[row, 0])!r}) so that near numbers become "
            "equal: subtract a constant from it"
        )
