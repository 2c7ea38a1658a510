"""The three matrices as losses and miners take them, and a selection divided by relevance.

What is refused here is refused for every loss and miner. See `pairs.checks` for when values are
looked at.
"""

from functools import reduce

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from ranklight.kernels.checks import check_tensors
from ranklight.kernels.eager import eager_on_cpu
from ranklight.kernels.masked import at_least_float32, everywhere


def loss_inputs(
    similarity: Tensor, relevance: Tensor, selection: Tensor, *, opponents: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """What a loss computes with: S in float32 or wider, R without gradient, and the selection.

    Matrices without elements become 1 × 1 (or a row, or a column) of which nothing is selected, so
    that they cost 0, as every loss promises where nothing is selected.

    Args:
        similarity: S.
        relevance: R.
        selection: Pairs (Bool), or opponents (int64).
        opponents: Whether the loss takes opponents, too.

    Raises:
        TypeError: S or R are not floats, or the selection is of a kind that the loss does not take.
        ValueError: The three are not of one shape [n, m], or not on one device; or, on the CPU, an
            opponent is no column.
    """
    _check_matrices(similarity, relevance, selection)
    if selection.dtype != torch.bool:
        _check_opponents(selection, opponents)
    similarity, relevance = at_least_float32(similarity), at_least_float32(relevance.detach())
    if not similarity.numel():
        n, m = similarity.shape
        missing = (0, int(m == 0), 0, int(n == 0))
        nothing = False if selection.dtype == torch.bool else -1
        similarity, relevance = F.pad(similarity, missing), F.pad(relevance, missing)
        selection = F.pad(selection, missing, value=nothing)
    return similarity, relevance, selection


def loss_inputs_of_classes(
    similarity: Tensor, relevance: Tensor, selection: Tensor, centers_per_class: int
) -> tuple[Tensor, Tensor, Tensor]:
    """`loss_inputs` with the columns of a class on an axis of their own, [n, classes, K].

    Args:
        similarity: S.
        relevance: R.
        selection: Pairs (Bool).
        centers_per_class: K; so many neighbouring columns are one class.

    Raises:
        TypeError: S or R are not floats, or the selection is not of pairs.
        ValueError: The three are not of one shape [n, m], or not on one device, or m is no multiple
            of K.
    """
    matrices = loss_inputs(similarity, relevance, selection)
    if (m := similarity.shape[1]) % centers_per_class:
        raise ValueError(
            f"the columns must be {centers_per_class} neighbouring centers a class, as of "
            f"ClassCenters(centers_per_class={centers_per_class}); got {m} columns"
        )
    # Where there was no column, one stands that is not selected, which makes one class.
    missing = -matrices[0].shape[1] % centers_per_class
    similarity, relevance, selection = (
        torch.unflatten(
            F.pad(matrix, (0, missing)) if missing else matrix, 1, (-1, centers_per_class)
        )
        for matrix in matrices
    )
    return similarity, relevance, selection


def any_of_class(selection: Bool[Tensor, "n c k"]) -> Bool[Tensor, "n c"]:
    """The classes of which a column is selected."""
    if everywhere(selection):
        return selection[..., 0]
    # `selection.any(2)` takes three times as long over so few columns.
    return reduce(torch.logical_or, selection.unbind(2))


def miner_inputs(
    similarity: Tensor, relevance: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """What a miner chooses by: S in float32 or wider and R, both without gradient, and the mask.

    Raises:
        TypeError: S or R are not floats, or the mask is not Bool.
        ValueError: The three are not of one shape [n, m], or not on one device.
    """
    _check_matrices(similarity, relevance, mask)
    if mask.dtype != torch.bool:
        raise TypeError(f"a miner takes a Bool mask of pairs; got {mask.dtype}")
    return at_least_float32(similarity.detach()), relevance.detach(), mask


def split(
    relevance: Float[Tensor, "n *m"], selection: Shaped[Tensor, "n *m"]
) -> tuple[Bool[Tensor, "n *m"], Bool[Tensor, "n *m"]]:
    """The selected pairs, as (positive, negative): relevance above 0, and not.

    A relevance of NaN is not above 0: labels that are no numbers are refused where they become
    relevance, which is a look at n labels and not at n·m pairs.

    Example:
        >>> positive, negative = split(torch.tensor([[1.0, 0.0]]), torch.tensor([[True, True]]))
        >>> positive.tolist(), negative.tolist()
        ([[True, False]], [[False, True]])
    """
    positive = positive_pairs(relevance, selection)
    return positive, ~positive if everywhere(selection) else selection & ~positive


def positive_pairs(
    relevance: Float[Tensor, "n *m"], selection: Shaped[Tensor, "n *m"]
) -> Bool[Tensor, "n *m"]:
    """The selected pairs whose relevance is above 0: the first of `split`."""
    related = relevance > 0
    return related if everywhere(selection) else selection & related


def _check_matrices(similarity: Tensor, relevance: Tensor, selection: Tensor) -> None:
    check_tensors(similarity=similarity, relevance=relevance, selection=selection)
    for name, matrix in (("similarity", similarity), ("relevance", relevance)):
        if not matrix.is_floating_point():
            raise TypeError(f"{name} must be floats; got {matrix.dtype}")
    if similarity.ndim != 2 or not similarity.shape == relevance.shape == selection.shape:
        raise ValueError(
            "similarity, relevance and selection must have one shape [n, m]; got "
            f"{list(similarity.shape)}, {list(relevance.shape)} and {list(selection.shape)}"
        )


def _check_opponents(selection: Tensor, taken: bool) -> None:
    if not taken:
        raise TypeError(
            "this loss takes pairs, a Bool selection from a pair miner (KeepAll, "
            f"MultiSimilarityMiner, ...); got {selection.dtype}, the opponents of a triplet miner"
        )
    if selection.dtype != torch.int64:
        raise TypeError(
            "a selection is Bool (pairs) or int64 (opponents, from a triplet miner); got "
            f"{selection.dtype}: make a mask of 0 and 1 Bool"
        )
    if not eager_on_cpu(selection) or not selection.numel():
        return
    low, high = (int(value) for value in selection.aminmax())
    if low < -1 or high >= selection.shape[1]:
        raise ValueError(
            f"opponents are columns 0..{selection.shape[1] - 1}, or -1 for none; got "
            f"{low if low < -1 else high}"
        )
    if low >= 0:
        raise ValueError(
            "every pair has an opponent, but the least relevant of a row can outrank none: entry "
            "(a, i) is a column, or -1 for none; make a mask of 0 and 1 Bool"
        )
