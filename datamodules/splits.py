"""Splits: parts of a data set that share no image, and a name of which image is in which."""

import hashlib
from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray
from pytorch_lightning import LightningDataModule
from torch import Tensor

from ranklight.datamodules.randomness import random_bits
from ranklight.kernels.checks import check_choice, check_finite, whole

Fold = tuple[int, int]
Validation = Literal["image_disjoint", "class_disjoint"]


def check_fractions(**fractions: float) -> None:
    """Refuse a fraction to hold out that leaves nothing, or holds out nothing.

    Raises:
        TypeError: It is no number.
        ValueError: It is not between 0 and 1.
    """
    check_finite(**fractions)
    for name, fraction in fractions.items():
        if not 0 < fraction < 1:
            raise ValueError(f"{name} must be between 0 and 1; got {fraction}")


def check_fold(fold: Fold) -> None:
    """Refuse a fold that is none of so many.

    Raises:
        TypeError: One of the two is not a whole number.
        ValueError: There is no such fold.
    """
    number, folds = (whole(each, "a fold's number") for each in fold)
    if folds < 2 or not 0 <= number < folds:
        raise ValueError(
            "a fold is [k, n]: of n folds, 2 or more, the one numbered k, 0 to n - 1; "
            f"got [{number}, {folds}]"
        )


def fold_or_fraction(fold: Fold | None, validation_fraction: float) -> float | Fold:
    """What a data module holds out for validation, once it is known to be possible.

    Raises:
        TypeError: Something is no number.
        ValueError: A fraction that is not between 0 and 1, or no such fold.
    """
    check_fractions(validation_fraction=validation_fraction)
    if fold is None:
        return validation_fraction
    check_fold(fold)
    return fold[0], fold[1]


def hold_out(
    labels: Sequence[int] | Int[np.ndarray, "n"] | Int[Tensor, "n"],
    fraction: float | Fold,
    validation: Validation,
    seed: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split images in two, (the rest, held out), both as ascending indices.

    Args:
        labels: One class index per image.
        fraction: How much is held out, 0 < fraction < 1; or (k, n): fold k, from 0, of n folds that
            together are everything.
        validation: "class_disjoint": whole classes, at least one and never all, which measures what
            retrieval of unseen classes does. "image_disjoint": of each class that share of its
            images, never all, so a class of one image stays.
        seed: Another seed is another split.

    Raises:
        ValueError: The fraction is not between 0 and 1, there is no such fold or it would be too
            small, or nothing can be held out.

    Examples:
        >>> rest, held_out = hold_out([0, 0, 0, 0, 1, 1], 0.5, "image_disjoint", seed=0)
        >>> len(rest), len(held_out)
        (3, 3)
    """
    check_choice(Validation, validation=validation)
    _, classes, counts = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    if isinstance(fraction, tuple):
        held_out = _in_fold(classes, fraction, validation, seed)
        return np.flatnonzero(~held_out), np.flatnonzero(held_out)
    check_fractions(fraction=fraction)
    if validation == "class_disjoint":
        order = np.argsort(random_bits(seed, np.arange(len(counts))), kind="stable")
        several = min(max(1, round(fraction * len(counts))), len(counts) - 1)
        held_out = np.isin(classes, order[:several])
    else:
        rank = rank_in_class(classes, seed)
        held_out = rank < np.minimum(np.rint(fraction * counts), counts - 1)[classes]
    if not held_out.any():
        remedy = (
            "hold out single images"
            if validation == "class_disjoint"
            else "give more images of each, or a larger fraction"
        )
        raise ValueError(
            f"holding out {fraction:g} of {len(classes)} images in {len(counts)} classes, "
            f"{validation}, leaves nothing for evaluation: {remedy}, or mark the splits"
        )
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def _in_fold(
    classes: Int[np.ndarray, "n"],
    fold: Fold,
    validation: Validation,
    seed: int,
) -> NDArray[np.bool_]:
    """Which images are in a fold; folds differ in size by one class, or by one image of a class."""
    check_fold(fold)
    number, folds = fold
    counts = np.bincount(classes)
    if validation == "image_disjoint":
        # A class of one image stays, as it does where a fraction is held out.
        of_fold = rank_in_class(classes, seed) % folds == number
        held_out: NDArray[np.bool_] = of_fold & (counts > 1)[classes]
    else:
        order = np.argsort(random_bits(seed, np.arange(len(counts))), kind="stable")
        held_out = np.isin(classes, order[number::folds])
    if not held_out.any() or (validation == "class_disjoint" and len(counts) < 2 * folds):
        raise ValueError(
            f"{folds} folds of {len(classes)} images in {len(counts)} classes, {validation}, too "
            "many: each needs an image, and of whole classes 2, for in one alone all found is right"
        )
    return held_out


def rank_in_class(classes: Int[np.ndarray, "n"], *words: int) -> Int[np.ndarray, "n"]:
    """Each image's rank, from 0, in a random order of the images of its class.

    Args:
        classes: The class of each image, 0..C − 1, each of which occurs.
        words: Others of them are another order.
    """
    counts = np.bincount(classes)
    order = np.lexsort((random_bits(*words, np.arange(len(classes))), classes))
    rank = np.empty(len(classes), dtype=np.int64)
    rank[order] = np.arange(len(classes)) - np.repeat(np.cumsum(counts) - counts, counts)
    return rank


def split_hash(*splits: Sequence[int] | Int[np.ndarray, "_"]) -> str:
    """A short name of which images are in which split: equal if and only if these are.

    The first 12 digits of the SHA-256 of the sorted indices of each.

    Examples:
        >>> split_hash([3, 1], [2]) == split_hash([1, 3], [2])
        True
        >>> split_hash([3, 1], [2]) == split_hash([2], [3, 1])
        False
    """
    digest = hashlib.sha256()
    for split in splits:
        indices = np.sort(np.asarray(split, dtype="<i8"))
        digest.update(np.int64(len(indices)).tobytes() + indices.tobytes())
    return digest.hexdigest()[:12]


def check_same_split(data: LightningDataModule, saved: str, current: str) -> None:
    """Stop a run that would go on training on other images than its checkpoint was trained on.

    A checkpoint may be evaluated on any data.

    Raises:
        ValueError: Training is about to go on, and the hashes of the splits differ.
    """
    if data.trainer is not None and data.trainer.state.fn == "fit" and saved != current:
        raise ValueError(
            f"the checkpoint was trained on the split {saved}, but this one is {current}: the "
            "files, the split_seed or the way to split them changed"
        )
