"""Numbers as labels."""

import math

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

_LARGEST, _SMALLEST = 1e17, 1e-3


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
        ValueError: No columns, one twice, another number of weights, or a weight below 0.
    """

    def __init__(self, columns: list[str], weights: list[float] | None = None) -> None:
        check_columns(columns, weights)
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


def check_columns(columns: list[str], weights: list[float] | None) -> None:
    """Refuse columns and weights that no table can have.

    Raises:
        ValueError: No columns, one twice, another number of weights, or a weight that is below 0 or
            not finite.
    """
    if not columns or len(set(columns)) < len(columns):
        raise ValueError(f"label columns must be there, each once; got {columns}")
    if weights is None:
        return
    if len(weights) != len(columns):
        raise ValueError(f"{len(columns)} label columns need as many weights, got {weights}")
    if not all(0 <= weight < math.inf for weight in weights):
        raise ValueError(f"weights of label columns must be finite, 0 or more; got {weights}")


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
        weight = np.float32(1 if weights is None else weights[number])
        with np.errstate(over="ignore"):
            rounded = exact.astype(np.float32)
            weighted = rounded * weight
        _check_rounding(table, name, exact, rounded)
        _check_squares(table, name, weighted)
        labels = np.hstack([labels, weighted])
    _warn_of_small(table, columns, labels)
    return torch.from_numpy(labels)


def _check_squares(table: Table, name: str, weighted: Float[np.ndarray, "rows k"]) -> None:
    """Refuse what is so large that its square, which a distance needs, is none of float32."""
    large = ~(np.abs(weighted) <= _LARGEST).all(1)
    if large.any():
        row = int(large.argmax())
        raise ValueError(
            f"{table[row]}: {name} (times its weight) is {np.abs(weighted[row]).max():g}; label "
            f"distances need numbers up to {_LARGEST:g}: give a smaller weight"
        )


def _warn_of_small(table: Table, columns: list[str], labels: Float[np.ndarray, "rows k"]) -> None:
    """Warn of differences that relevance, 1 − label distance in float32, rounds away."""
    widest = float(np.ptp(labels, axis=0).max())
    if 0 < widest < _SMALLEST:
        rank_zero_warn(
            f"{table.file}: the numbers of {', '.join(columns)} (times their weights) differ by "
            f"{widest:.2g} at most, which 1 - label distance rounds away: give weights of about "
            f"{1 / widest:.1g}"
        )


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
