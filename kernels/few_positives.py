"""Orders and counts by a pass over the row for each of its few positives: no sort, on the CPU."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ranklight.kernels.eager import eager_on_cpu
from ranklight.kernels.masked import masked_where
from ranklight.kernels.packing import true_columns
from ranklight.kernels.sortable_bits import sortable_bits

_MAX_PASSES = 32
_ELEMENTS_A_PASS = 32


def few_columns(mask: Bool[Tensor, "n m"]) -> Int[Tensor, "n p"] | None:
    """`true_columns`, if passes over the rows take less time than sorting them."""
    if not eager_on_cpu(mask) or not mask.numel():
        return None
    max_passes = min(_MAX_PASSES, mask.shape[1] // _ELEMENTS_A_PASS)
    return true_columns(mask) if mask.sum(1, dtype=torch.int32).max() <= max_passes else None


def closest_below_few(
    similarity: Float[Tensor, "n m"],
    columns: Int[Tensor, "n p"],
    negative: Bool[Tensor, "n m"],
    or_farthest: bool,
) -> Int[Tensor, "n p"]:
    """For each of these columns that of the most similar negative strictly below it, or −1.

    Of equally similar negatives the last. With `or_farthest` the least similar negative stands in,
    of equals the first.
    """
    # NumPy's argmin takes the first of equals. In reversed columns that is the last.
    order = sortable_bits(masked_where(similarity, negative, -torch.inf)).flip(1)
    bounds = sortable_bits(similarity.gather(1, columns.clamp(min=0)))
    unsigned = f"uint{8 * order.element_size()}"
    below = torch.empty_like(columns)
    for p in range(columns.shape[1]):
        # The closest below is the least distance down from just below the bound. Read as unsigned,
        # a negative distance, of what is not below, wraps around beyond every other, so that one
        # argmin does without a comparison and a mask.
        bound = (bounds[:, p, None] - 1).numpy().view(unsigned)
        distance = bound - order.numpy().view(unsigned)
        below[:, p] = torch.from_numpy(distance.argmin(axis=1))
    value, nothing = order.gather(1, below), sortable_bits(similarity.new_tensor(-torch.inf))
    exists = (value < bounds) & (value > nothing)
    below = torch.where(exists, similarity.shape[1] - 1 - below, -1)
    if or_farthest:
        negatives = masked_where(similarity, negative, torch.inf)
        farthest = torch.from_numpy(negatives.numpy().argmin(axis=1)).unsqueeze(1)
        exists = negatives.gather(1, farthest) < torch.inf
        below = torch.where((below < 0) & exists, farthest, below)
    return torch.where(columns < 0, -1, below)


def active_among_few(
    similarity: Float[Tensor, "n m"],
    columns: Int[Tensor, "n p"],
    negative: Bool[Tensor, "n m"],
    gap: float,
) -> tuple[Float[Tensor, "n m"], Int[Tensor, " n"]]:
    """Pairs of a positive i, of these columns, and a negative j with S_aj > S_ai − gap.

    Returns:
        For each negative the number of such pairs, for each positive minus that number; and the
        number of pairs in each row.
    """
    negatives = masked_where(similarity, negative, -torch.inf).numpy()
    bounds = torch.where(
        columns < 0, torch.inf, similarity.gather(1, columns.clamp(min=0)) - gap
    ).numpy()
    partners = torch.zeros_like(negative, dtype=torch.uint8)
    active = torch.empty_like(columns)
    for p in range(columns.shape[1]):
        beyond = torch.from_numpy(negatives > bounds[:, p, None])
        partners += beyond.view(torch.uint8)
        active[:, p] = beyond.sum(1, dtype=torch.int32)
    weight = partners.to(similarity.dtype)
    weight.scatter_add_(1, columns.clamp(min=0), active.to(weight.dtype).neg_())
    return weight, active.sum(1)
