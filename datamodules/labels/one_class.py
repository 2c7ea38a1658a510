"""One class an image."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from ranklight.datamodules.batches import Batches, PxK
from ranklight.datamodules.labels.kind import Labels, Rows
from ranklight.datamodules.labels.rows import RowLabels
from ranklight.datamodules.table_splits import HeldOutBy

_DISTRACTOR = "distractor"


class OneClass(Labels):
    """One class an image: `labels` are class indices, the ranks of the names in sorted order.

    By default batches are `PxK`, and whole classes are held out. Distractors and junk without a
    label are a class of their own, `distractor`.

    Args:
        column: Of the names; numbers are names, too.
        super_class: Column of the classes above them, such as the kind of a product: the level
            `super_class` of evaluations, and of `SuperClassBatches`.
    """

    held_out_by: ClassVar[HeldOutBy] = "class"

    def __init__(self, column: str = "label", super_class: str | None = None) -> None:
        self.column = column
        self.super_class = super_class

    def read(self, rows: Rows) -> RowLabels:
        """The class index of each row.

        Raises:
            ValueError: There is no such column, or a row without a label or a class above it; or a
                distractor has the class of an image that is none.
        """
        from pyarrow import compute

        text = rows.table.texts(self.column)
        empty = compute.equal(text, "").to_numpy(zero_copy_only=False)
        if (missing := empty & ~rows.distractor & ~rows.junk).any():
            raise ValueError(
                f"{rows.table[int(missing.argmax())]}: {self.column} is empty "
                f"({missing.sum()} of {len(text)} rows have no label)"
            )
        text = compute.if_else(compute.equal(text, ""), _DISTRACTOR, text)
        encoded = text.dictionary_encode()
        labels = one_class(encoded.dictionary.to_pylist(), encoded.indices.to_numpy())
        self._check_distractors(rows, labels)
        if self.super_class is None:
            return labels
        return labels._replace(levels={"super_class": _level(rows, self.super_class)})

    def batches(self) -> Batches:
        """P classes with K images each."""
        return PxK()

    def _check_distractors(self, rows: Rows, labels: RowLabels) -> None:
        assert labels.classes is not None
        answers = labels.classes[~rows.distractor & ~rows.junk]
        wrong = rows.distractor & np.isin(labels.classes, answers)
        if wrong.any():
            row = int(wrong.argmax())
            raise ValueError(
                f"{rows.table[row]}: a distractor of the class "
                f"{labels.class_names[labels.classes[row]]!r}, which other images have: it would "
                "be the answer to a query; leave its label empty"
            )


def _level(rows: Rows, column: str) -> NDArray[np.int64]:
    """The class above of each row, the rank of its name."""
    text = rows.table.texts(column)
    names, codes = np.unique(np.array(text.to_pylist(), dtype=object), return_inverse=True)
    lacking = (codes == 0) & ~rows.distractor & ~rows.junk
    if "" in names and lacking.any():
        row = int(lacking.argmax())
        raise ValueError(f"{rows.table[row]}: {column} is empty")
    return codes


def one_class(names: Sequence[str], codes: np.ndarray) -> RowLabels:
    """Class indices in the order of the names.

    Args:
        names: Each once.
        codes: Which of them each row has.
    """
    order = np.argsort(np.array(names, dtype=object), kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    classes = rank[codes]
    return RowLabels(
        torch.from_numpy(classes), tuple(names[position] for position in order), classes
    )
