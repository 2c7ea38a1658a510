"""Batch-hard: one triplet an anchor."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ranklight.pairs.selection import miner_inputs, split


class Hardest(nn.Module):
    """Gives each anchor's farthest positive its closest negative as the opponent: batch-hard.

        i = argmin { S_aj : j ∈ P_a },   opponent of (a, i) = argmax { S_aj : j ∈ N_a }

    One triplet an anchor; an anchor without positives or without negatives has none. Of equally far
    positives the first is taken.

    Hermans, Beyer, Leibe: In Defense of the Triplet Loss, arXiv 1703.07737; the best of the two
    rules in the two-head regularizer (Taha et al., WACV 2020, arXiv 1901.08616), whose released
    code averages over all anchors where `TripletLoss(average="pairs")` averages over those with a
    triplet.

    Example:
        >>> similarity = torch.tensor([[0.9, 0.2, 0.5, 0.1]])
        >>> relevance = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
        >>> Hardest()(similarity, relevance, relevance >= 0).tolist()
        [[-1, 2, -1, -1]]
    """

    def forward(
        self,
        similarity: Float[Tensor, "n m"],
        relevance: Float[Tensor, "n m"],
        mask: Bool[Tensor, "n m"],
    ) -> Int[Tensor, "n m"]:
        """One opponent an anchor, −1 elsewhere.

        Raises:
            TypeError: S or R are not floats, or the mask is not Bool.
            ValueError: The three are not of one shape and on one device.
        """
        similarity, relevance, mask = miner_inputs(similarity, relevance, mask)
        if not mask.numel():
            return torch.full_like(mask, -1, dtype=torch.int64)
        positive, negative = split(relevance, mask)
        farthest = torch.where(positive, similarity, torch.inf).argmin(1, keepdim=True)
        closest = torch.where(negative, similarity, -torch.inf).argmax(1, keepdim=True)
        has_both = positive.any(1, keepdim=True) & negative.any(1, keepdim=True)
        opponents = torch.full_like(positive, -1, dtype=torch.int64)
        return opponents.scatter(1, farthest, torch.where(has_both, closest, -1))
