"""What samplers are given: seeds, ranks, and one class an image."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ranklight.kernels.checks import check_counts, whole


def check_seed(seed: object) -> None:
    """Refuse what is not a whole number of 64 bits.

    Raises:
        TypeError: It is not a whole number.
        ValueError: It does not fit 64 bits.
    """
    if not -(2**63) <= whole(seed, "seed") < 2**63:
        raise ValueError(f"seed must fit 64 bits; got {seed}")


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
