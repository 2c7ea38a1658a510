"""The hinge over all pairs of a positive and a negative, without a table of pairs."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pairs.counting import ascending
from pairs.fused import row_blocks


def ranking_hinge(
    similarity: Float[Tensor, "n m"],
    positive: Bool[Tensor, "n m"],
    negative: Bool[Tensor, "n m"],
    margin: float,
    weights: Float[Tensor, "n m"] | None = None,
) -> Float[Tensor, " n"]:
    """Σ_{v ∈ P_i, u ∈ N_i} w_v max(0, margin + S_iu − S_iv) for each row, in O(m log m).

    The hinge is linear in S as long as the same pairs are active, so the weighted number of active
    partners of each element is its gradient, and S against that gradient is the value.

    Args:
        similarity: S.
        positive: What should come first.
        negative: What should come after every positive.
        margin: By how much; larger keeps more pairs active.
        weights: w, read at the positives only and without gradient. Default: 1.
    """
    partners = active_partners(similarity, positive, negative, margin, weights)
    slope = torch.where(positive, -partners, partners)
    selected = positive | negative
    centre = torch.where(selected, similarity.detach(), 0).sum(1, keepdim=True)
    centre = centre / selected.sum(1, keepdim=True).clamp(min=1)
    excess = torch.where(selected, similarity - centre, 0)
    return (slope * excess).sum(1) + margin * (partners * negative).sum(1)


@torch.no_grad()
def active_partners(
    similarity: Float[Tensor, "n m"],
    positive: Bool[Tensor, "n m"],
    negative: Bool[Tensor, "n m"],
    margin: float,
    weights: Float[Tensor, "n m"] | None = None,
) -> Float[Tensor, "n m"]:
    """With how many others each element breaks the order: S_iv − margin < S_iu, strictly.

    For a negative u the number of positives v (or the sum of their weights), for a positive the
    number of negatives (times its weight); 0 for the rest.
    """
    partners = torch.empty_like(similarity)
    weights = (
        positive.to(similarity.dtype) if weights is None else torch.where(positive, weights, 0)
    )
    for rows in row_blocks(similarity, similarity.shape[1]):
        partners[rows] = _partners(
            similarity[rows], positive[rows], negative[rows], margin, weights[rows]
        )
    return partners


def _partners(
    similarity: Tensor, positive: Tensor, negative: Tensor, margin: float, weights: Tensor
) -> Tensor:
    keys = torch.where(positive, similarity - margin, similarity)
    order = ascending(keys, positive, positive | negative)
    weights = weights.gather(1, order)
    negatives = negative.gather(1, order).cumsum(1, dtype=weights.dtype)
    above = weights * (negatives[:, -1:] - negatives)
    partners = torch.where(positive.gather(1, order), above, weights.cumsum(1))
    partners = torch.empty_like(partners).scatter_(1, order, partners)
    return torch.where(positive | negative, partners, 0)
