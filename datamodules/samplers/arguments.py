"""What samplers are given: seeds, ranks, and one class an image."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ranklight.kernels.checks import check_counts, whole


def check_seed(seed: object, name: str = "seed") -> None:
    """Refuse what is not a whole number of 64 bits.

    Raises:
        TypeError: It is not a whole number.
        ValueError: It does not fit 64 bits.
    """
    if not -(2**63) <= whole(seed, name) < 2**63:
        raise ValueError(f"{name} must fit 64 bits; got {seed}")


def check_rank(rank: object, world_size: object) -> None:
    """Refuse a rank that is not one of so many.

    Raises:
        TypeError: Either is not a whole number.
        ValueError: There is no such rank.
    """
    check_counts(world_size=world_size)
    if not 0 <= whole(rank, "rank") < whole(world_size, "world_size"):
        ranks = whole(world_size, "world_size")
        raise ValueError(f"rank must be 0..{ranks - 1} of {ranks} ranks; got {rank}")


def epoch_length(batches_per_epoch: int | None, by_default: int) -> int:
    """Batches of an epoch.

    Raises:
        TypeError: What is given is not a whole number.
        ValueError: It is below 1.
    """
    if batches_per_epoch is None:
        return by_default
    check_counts(batches_per_epoch=batches_per_epoch)
    return batches_per_epoch


def class_indices(labels: object, user: str) -> NDArray[np.int64]:
    """One class index an image.

    Raises:
        TypeError: Labels are no vector of integers.
        ValueError: There is no image.
    """
    if isinstance(labels, Tensor):
        integer = not (labels.is_floating_point() or labels.is_complex() or labels.is_meta)
        if not integer:
            raise TypeError(
                f"{user} takes one class index per image, a vector of integers; got "
                f"{labels.dtype} on {labels.device}"
            )
        labels = labels.detach().cpu()
    try:
        array = np.asarray(labels)
    except ValueError as error:
        raise TypeError(
            f"{user} takes one class index per image; got rows of unequal length"
        ) from error
    if array.ndim != 1 or (array.dtype.kind not in "iu" and array.size):
        raise TypeError(
            f"{user} takes one class index per image, a vector of integers; got "
            f"{array.dtype} of shape {array.shape}"
        )
    if not array.size:
        raise ValueError(f"{user} needs at least one image; got none")
    return array.astype(np.int64)
