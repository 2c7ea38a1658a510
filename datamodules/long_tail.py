"""Imbalanced variants of balanced data."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from ranklight.datamodules.randomness import random_bits
from ranklight.datamodules.splits import rank_in_class
from ranklight.kernels.checks import check_choice, check_finite

Shape = Literal["exponential", "step"]


def check_tail(ratio: float, shape: Shape) -> None:
    """Refuse what no tail can be.

    Raises:
        TypeError: The ratio is no number.
        ValueError: It is below 1 or not finite, or there is no such shape.
    """
    check_finite(imbalance_ratio=ratio)
    check_choice(Shape, imbalance_shape=shape)
    if ratio < 1:
        raise ValueError(f"imbalance_ratio is the largest class to the smallest, >= 1; got {ratio}")


def long_tail(
    labels: Sequence[int] | Int[np.ndarray, "n"] | Int[Tensor, "n"],
    ratio: float,
    shape: Shape = "exponential",
    seed: int = 0,
) -> NDArray[np.int64]:
    """The indices of the images to keep, ascending, for classes of very different sizes.

    The classes are put in a random order, r = 0..C − 1, and keep a share of their own images:

        exponential: ratio^(−r / (C − 1)),
        step:        1 if r < C / 2, else 1 / ratio,

    rounded, at least one. The exponential tail is that of Cui et al., CVPR 2019, arXiv 1901.05555,
    the step that of Buda et al., Neural Networks 2018, arXiv 1710.05381; both take the classes in
    the order of their index. On classes of equal size the largest is `ratio` times the smallest.

    Args:
        labels: One class index per image.
        ratio: Largest to smallest class; 1 keeps all.
        shape: How sizes fall.
        seed: Another seed is another order of the classes and other images of each.

    Raises:
        ValueError: A ratio below 1.

    Examples:
        >>> labels = np.repeat([0, 1, 2], 100)
        >>> sorted(np.bincount(labels[long_tail(labels, ratio=100.0)]).tolist())
        [1, 10, 100]
    """
    check_tail(ratio, shape)
    _, classes, counts = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    several = len(counts)
    class_rank = np.empty(several, dtype=np.int64)
    order = np.argsort(random_bits(seed, 0, np.arange(several)), kind="stable")
    class_rank[order] = np.arange(several)
    if shape == "exponential":
        share = ratio ** (-class_rank / max(1, several - 1))
    else:
        share = np.where(class_rank < several / 2, 1.0, 1 / ratio)
    sizes = np.maximum(1, np.rint(share * counts))
    return np.flatnonzero(rank_in_class(classes, seed, 1) < sizes[classes])
