"""The relevance of single pairs of images, as samplers ask for it, in NumPy."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Shaped
from numpy.typing import NDArray
from torch import Tensor, nn

from ranklight.datamodules.samplers.arguments import class_indices

OfPairs = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float64]]
"""(indices i, indices j) -> relevance of each image j to its image i, 0 (none) to 1 (the same)."""

_PAIRS_AT_ONCE = 1 << 20


def relevance_of_pairs(relevance: nn.Module, labels: Shaped[Tensor, "n ..."]) -> OfPairs:
    """The relevance of pairs of images with these labels, by the module that gives the matrix R.

    Args:
        relevance: From two sets of labels to R, such as `pairs.GradedByAttributes`.
        labels: One entry an image; real ones are compared in float64.

    Examples:
        >>> from ranklight.pairs import SameClass
        >>> of_pairs = relevance_of_pairs(SameClass(), torch.tensor([5, 7, 5]))
        >>> of_pairs(np.array([0, 0]), np.array([1, 2])).tolist()
        [0.0, 1.0]
    """
    if not isinstance(labels, Tensor):
        raise TypeError(f"labels must be a torch.Tensor; got {type(labels).__name__}")
    if labels.is_meta or not labels.ndim:
        raise ValueError(
            f"labels must have values, one entry an image; got {list(labels.shape)} on "
            f"{labels.device}"
        )
    labels = labels.double() if labels.is_floating_point() else labels
    # Each pair is a matrix of one row and one column.
    pairwise = torch.func.vmap(relevance)

    def of_pairs(i: NDArray[np.int64], j: NDArray[np.int64]) -> NDArray[np.float64]:
        one, other = (labels[torch.from_numpy(indices)].unsqueeze(1) for indices in (i, j))
        values: NDArray[np.float64] = pairwise(one, other).flatten().double().numpy()
        return values

    return of_pairs


def total_relevance(of_pairs: OfPairs, classes: Shaped[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """r_i = Σ R_ij over the other images j of the same class, in blocks.

    Args:
        of_pairs: Relevance of pairs of images.
        classes: The class of each image.

    Examples:
        >>> def of_pairs(i, j):
        ...     return np.where(i + j == 1, 0.25, 0.5)
        >>> total_relevance(of_pairs, np.array([3, 3, 3, 4])).tolist()
        [0.75, 0.75, 1.0, 0.0]
    """
    classes = class_indices(classes, "total_relevance")
    total = np.zeros(len(classes))
    order = np.argsort(classes, kind="stable")
    starts = np.flatnonzero(np.diff(classes[order], prepend=classes[order[:1]] - 1))
    for of_class in np.split(order, starts[1:]):
        step = max(1, _PAIRS_AT_ONCE // len(of_class))
        for first in range(0, len(of_class), step):
            rows = of_class[first : first + step]
            i, j = np.repeat(rows, len(of_class)), np.tile(of_class, len(rows))
            others = np.where(i == j, 0, of_pairs(i, j))
            total[rows] = others.reshape(len(rows), -1).sum(1)
    return total
