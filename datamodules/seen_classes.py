"""Which classes are in which split, and what is to be said of it."""

import numpy as np
import torch
from jaxtyping import Bool
from numpy.typing import NDArray
from pytorch_lightning.utilities import rank_zero_warn

from ranklight.datamodules.labels.class_names import warn_of_names
from ranklight.datamodules.labels.rows import RowLabels
from ranklight.datamodules.reading.annotations import SPLITS
from ranklight.datamodules.reading.found import first_names


def seen_classes(
    labels: RowLabels, splits: list[NDArray[np.int64]]
) -> Bool[np.ndarray, "splits classes"]:
    """Which classes each split has an image of; no columns where labels are no classes.

    Args:
        labels: Of all rows.
        splits: The rows of each.
    """
    number = len(labels.class_names)
    if labels.classes is not None and number:
        return np.array(
            [np.bincount(labels.classes[rows], minlength=number) > 0 for rows in splits]
        )
    if not number:
        return np.zeros((len(splits), 0), bool)
    applies = labels.values > 0
    return np.array([applies[torch.from_numpy(rows)].any(0).numpy() for rows in splits])


def warn_of_classes(
    labels: RowLabels, splits: list[list[NDArray[np.int64]]], seen: Bool[np.ndarray, "splits c"]
) -> None:
    """Warn of splits that nothing can be measured on, of classes that training lacks, of names.

    Classes that are apart in training and test are what retrieval wants; where some are in both,
    those that are in one alone are named.

    Args:
        labels: Of all rows.
        splits: The rows of each split, on one side or two.
        seen: Which classes each split has.
    """
    for name, sides in zip(SPLITS[1:], splits[1:], strict=True):
        _warn_of_few(name, labels, sides)
    warn_of_names(labels.class_names)
    train, _, test = seen
    if not (train & test).any():
        return
    for alone, where, what in (
        (test & ~train, "test", "nothing of them can be learnt"),
        (train & ~test, "train", "no score tells how well they are known"),
    ):
        if alone.any():
            names = [labels.class_names[number] for number in np.flatnonzero(alone)]
            rank_zero_warn(
                f"{len(names)} of {len(alone)} classes lie in {where} and not in "
                f"{'train' if where == 'test' else 'test'}, and {what}: {first_names(names)}"
            )


def _warn_of_few(name: str, labels: RowLabels, sides: list[NDArray[np.int64]]) -> None:
    queries, gallery = sides[0], sides[-1]
    if len(sides) == 1 and len(queries) == 1:
        rank_zero_warn(f"{name} is one image, which has nothing to be compared with")
    elif labels.classes is None or labels.of_pairs is not None:
        return
    elif len(np.unique(labels.classes[np.concatenate(sides)])) == 1:
        rank_zero_warn(
            f"all images of {name} are of one class: whatever is found is right, and "
            "scores of retrieval will be 1"
        )
    elif not _has_answers(labels.classes, queries, gallery):
        rank_zero_warn(
            f"no two images of {name} are of one class, or none of them a query and the other in "
            "the gallery: no query has an answer, and scores of retrieval will be nan"
        )


def _has_answers(
    classes: NDArray[np.int64], queries: NDArray[np.int64], gallery: NDArray[np.int64]
) -> bool:
    if queries is gallery:
        return bool(np.bincount(classes[queries]).max() > 1)
    return bool(np.isin(classes[queries], classes[gallery]).any())
