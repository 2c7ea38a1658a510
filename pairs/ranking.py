"""The hinge over all pairs of a positive and a negative, weighted by the positive: no table."""

from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pairs.counting import ascending
from pairs.fused import by_rows, in_row_blocks, kept


def ranking_hinge(
    similarity: Float[Tensor, "n m"],
    positive: Bool[Tensor, "n m"],
    negative: Bool[Tensor, "n m"],
    margin: float,
    weights: Float[Tensor, "n m"],
) -> Float[Tensor, " n"]:
    """Σ_{v ∈ P_i, u ∈ N_i} w_v max(0, margin + S_iu − S_iv) for each row, in O(m log m).

    The hinge is linear in S as long as the same pairs are active, so the weighted number of active
    partners of each element is its gradient, and S against that gradient is the value.

    Args:
        similarity: S.
        positive: What should come first.
        negative: What should come after every positive.
        margin: By how much; larger keeps more pairs active.
        weights: w, read at the positives only and without gradient.
    """
    costs = partial(_costs, margin=margin)
    (cost,) = in_row_blocks(costs, similarity, positive, negative, weights.detach())
    return cost


def active_negatives(
    similarity: Float[Tensor, "n m"],
    positive: Bool[Tensor, "n m"],
    negative: Bool[Tensor, "n m"],
    margin: float,
) -> Float[Tensor, "n m"]:
    """For each positive v the number of negatives u that break the order: S_iv − margin < S_iu."""
    count, once = partial(_partners, margin=margin), torch.ones_like(similarity)
    return kept(by_rows(count, similarity, positive, negative, once), positive)


def _costs(
    similarity: Tensor, positive: Tensor, negative: Tensor, weights: Tensor, margin: float
) -> tuple[Tensor, Tensor]:
    partners = _partners(similarity, positive, negative, weights, margin)
    selected = positive | negative
    similarity = kept(similarity, selected)
    centre = similarity.sum(1, keepdim=True) / selected.sum(1, keepdim=True).clamp(min=1)
    of_negatives = kept(partners, negative)
    slope = of_negatives - kept(partners, positive)
    return (slope * (similarity - centre)).sum(1) + margin * of_negatives.sum(1), slope


def _partners(
    similarity: Tensor, positive: Tensor, negative: Tensor, weights: Tensor, margin: float
) -> Tensor:
    """Of negatives the weights of their active partners, of positives how many times their own."""
    keys = torch.where(positive, similarity - margin, similarity)
    order = ascending(keys, positive, positive | negative)
    weights = kept(weights, positive).gather(1, order)
    negatives = negative.gather(1, order).cumsum(1, dtype=weights.dtype)
    above = weights * (negatives[:, -1:] - negatives)
    partners = torch.where(positive.gather(1, order), above, weights.cumsum(1))
    return torch.empty_like(partners).scatter_(1, order, partners)
