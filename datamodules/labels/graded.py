"""Graded relevance: how relevant images are to each other, from attributes, features or people."""

import inspect
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import nn

from ranklight.datamodules.batches import Batches, TripletBatches
from ranklight.datamodules.labels.kind import Labels, Rows
from ranklight.datamodules.labels.numbers import check_columns, float32_numbers
from ranklight.datamodules.labels.one_class import OneClass
from ranklight.datamodules.labels.rows import RowLabels
from ranklight.datamodules.reading.tables import Table, read_table
from ranklight.datamodules.samplers import relevance_of_pairs
from ranklight.datamodules.samplers.pair_relevance import OfPairs
from ranklight.pairs import ByFeatures, GradedByAttributes

if TYPE_CHECKING:
    import pyarrow


class GradedRelevance(Labels):
    """Relevance 0..1 by attributes or features: columns of numbers, compared by `relevance`.

    Labels are float32: the class, where there is one, and then the columns, as
    `pairs.GradedByAttributes` takes them; without a class as `pairs.ByFeatures` takes them. The
    objective and the evaluation are given the same relevance.

    By default batches are `TripletBatches` and some of the images are held out. The relevance of
    all pairs of a class is added up at the start: without classes that are n² pairs.

    Args:
        columns: Attributes or features; a column may hold vectors (Parquet, JSON lines).
        relevance: From two sets of labels to R.
        class_column: Of the classes; triplets are drawn within a class, negatives also outside.
        weights: One number a column; by default 1.

    Raises:
        TypeError: `relevance` compares no two sets of labels.
        ValueError: No columns, one twice, another number of weights, a weight below 0, or a class
            that the relevance does not know, or lacks.
    """

    def __init__(
        self,
        columns: list[str],
        relevance: nn.Module,
        class_column: str | None = None,
        weights: list[float] | None = None,
    ) -> None:
        check_columns(columns, weights)
        _check_relevance(relevance, class_column)
        self.columns = columns
        self.relevance = relevance
        self.class_column = class_column
        self.weights = weights

    def read(self, rows: Rows) -> RowLabels:
        """The class and the attributes of each row.

        Raises:
            ValueError: There is no such column, or a value that is no finite number; names the row.
        """
        values = float32_numbers(rows.table, self.columns, self.weights)
        names: tuple[str, ...] = ()
        classes = np.zeros(len(values), np.int64)
        if self.class_column is not None:
            of_class = OneClass(self.class_column).read(rows)
            assert of_class.classes is not None
            names, classes = of_class.class_names, of_class.classes
            values = torch.cat([of_class.values.float()[:, None], values], 1)
        return RowLabels(values, names, classes, relevance_of_pairs(self.relevance, values))

    def batches(self) -> Batches:
        """Triplets drawn by relevance."""
        return TripletBatches()


def _check_relevance(relevance: nn.Module, class_column: str | None) -> None:
    """Refuse what compares no two sets of labels, and a class that would be an attribute."""
    if len(inspect.signature(relevance.forward).parameters) != 2:
        raise TypeError(
            "relevance must compare two sets of labels, as pairs.ByFeatures does; got "
            f"{type(relevance).__name__}"
        )
    if isinstance(relevance, GradedByAttributes) and class_column is None:
        raise ValueError(
            "GradedByAttributes compares classes and then attributes: give class_column, or take "
            "ByFeatures"
        )
    if isinstance(relevance, ByFeatures) and class_column is not None:
        raise ValueError(
            "ByFeatures takes every number for a feature, that of the class too: leave "
            "class_column out, or take GradedByAttributes"
        )


class PairRelevance(Labels):
    """Relevance 0..1 of listed pairs of images, as people or a program graded them.

    `pairs` is a table with a pair in each row: two images as the column of images has them, and a
    number from 0 to 1. It counts in both directions; what is not listed is 0. Labels are class
    indices: images that pairs connect, over any number of steps, are one class. So
    `pairs.SameClass` is the objective's relevance, which tells what may be related, and the
    sampler's triplets tell how much.

    By default batches are `TripletBatches` and some of the images are held out.

    Args:
        pairs: The table, in any form of `ImageTable`'s.
        image: Column of the one image.
        other: Column of the other.
        relevance: Column of the numbers.
    """

    def __init__(
        self,
        pairs: str,
        image: str = "image",
        other: str = "other",
        relevance: str = "relevance",
    ) -> None:
        self.pairs = Path(pairs)
        self.image = image
        self.other = other
        self.relevance = relevance

    def read(self, rows: Rows) -> RowLabels:
        """The class of each row, and the relevance of pairs of rows.

        Raises:
            FileNotFoundError: There is no table of pairs.
            ValueError: It names an image that the table lacks, lists an image with itself, grades
                a pair twice and otherwise, or beyond 0..1; names the row.
        """
        pairs = read_table(self.pairs)
        pairs.check_has(self.image, self.other, self.relevance)
        images = rows.table.texts(rows.image)
        _check_once(rows.table, images)
        one, other = (
            _rows_of(pairs, name, images, rows.table) for name in (self.image, self.other)
        )
        relevance = self._graded(pairs, one, other)
        of_pairs = _looked_up(pairs, np.stack([one, other]), relevance, len(images))
        classes = _connected(one, other, len(images))
        return RowLabels(torch.from_numpy(classes), (), classes, of_pairs)

    def batches(self) -> Batches:
        """Triplets drawn by relevance."""
        return TripletBatches()

    def _graded(
        self, pairs: Table, one: NDArray[np.int64], other: NDArray[np.int64]
    ) -> Float[np.ndarray, "pairs"]:
        relevance = pairs.numbers([self.relevance])[:, 0]
        if (beyond := (relevance < 0) | (relevance > 1)).any():
            row = int(beyond.argmax())
            raise ValueError(
                f"{pairs[row]}: {self.relevance} is {relevance[row]:g}, and must be 0..1: divide "
                "by the largest grade"
            )
        if (alone := one == other).any():
            raise ValueError(f"{pairs[int(alone.argmax())]}: an image is paired with itself")
        return relevance


def _check_once(table: Table, images: "pyarrow.StringArray") -> None:
    codes = images.dictionary_encode().indices.to_numpy()
    _, first = np.unique(codes, return_index=True)
    if len(first) < len(codes):
        row = int(np.setdiff1d(np.arange(len(codes)), first)[0])
        raise ValueError(
            f"{table[row]}: the image {images[row].as_py()!r} for the second time, so pairs of "
            "images do not tell which row is meant"
        )


def _rows_of(
    pairs: Table, name: str, images: "pyarrow.StringArray", table: Table
) -> NDArray[np.int64]:
    """Which row of the table of images each row of the pairs names."""
    from pyarrow import compute

    named = pairs.texts(name)
    found = compute.index_in(named, images).fill_null(-1).to_numpy()
    if (missing := found < 0).any():
        row = int(missing.argmax())
        raise ValueError(
            f"{pairs[row]}: the image {named[row].as_py()!r} is not in {table.file} "
            f"({missing.sum()} of {len(pairs)} rows name such images)"
        )
    return np.asarray(found, np.int64)


def _looked_up(
    pairs: Table,
    ends: Int[np.ndarray, "2 pairs"],
    relevance: Float[np.ndarray, "pairs"],
    images: int,
) -> OfPairs:
    keys = np.concatenate([ends[0] * images + ends[1], ends[1] * images + ends[0]])
    order = np.argsort(keys, kind="stable")
    keys, values = keys[order], np.tile(relevance, 2)[order]
    disagree = np.flatnonzero((np.diff(keys) == 0) & (np.diff(values) != 0))
    if len(disagree):
        rows = sorted(int(row) % len(pairs) for row in order[disagree[0] : disagree[0] + 2])
        raise ValueError(
            f"{pairs[rows[1]]}: relevance {relevance[rows[1]]:g}, but {relevance[rows[0]]:g} of "
            f"the same pair in row {rows[0] + 1}"
        )

    def of_pairs(i: NDArray[np.int64], j: NDArray[np.int64]) -> NDArray[np.float64]:
        wanted = i * images + j
        place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where(keys[place] == wanted, values[place], 0.0)

    return of_pairs


def _connected(one: NDArray[np.int64], other: NDArray[np.int64], images: int) -> NDArray[np.int64]:
    # Here, because every import of this package would wait for it.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = coo_array((np.ones(len(one)), (one, other)), shape=(images, images))
    classes: NDArray[np.int64] = connected_components(edges, directed=False)[1].astype(np.int64)
    return classes
