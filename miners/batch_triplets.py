"""The triplets that a batch was made of."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ranklight.pairs.selection import miner_inputs


class BatchTriplets(nn.Module):
    """In a batch [q, p, n, q, p, n, ...] gives each query's positive its negative as the opponent.

        opponent of (3t, 3t + 1) = 3t + 2

    For batches of `RelevanceTriplets` and references that the batch leads (`InBatch`, a memory): on
    several processes each has whole triplets, and its own images lead the references. Where the
    mask leaves out the positive or the negative there is no triplet.

    The triplets of deep ranking (Wang et al., CVPR 2014, arXiv 1404.4661), with `TripletLoss`.

    Example:
        >>> similarity, mask = torch.zeros(3, 3), ~torch.eye(3, dtype=torch.bool)
        >>> BatchTriplets()(similarity, similarity, mask).tolist()
        [[-1, 2, -1], [-1, -1, -1], [-1, -1, -1]]
    """

    def forward(
        self,
        similarity: Float[Tensor, "n m"],
        relevance: Float[Tensor, "n m"],
        mask: Bool[Tensor, "n m"],
    ) -> Int[Tensor, "n m"]:
        """One opponent a query, −1 elsewhere.

        Raises:
            TypeError: S or R are not floats, or the mask is not Bool.
            ValueError: The three are not of one shape and on one device.
        """
        similarity, relevance, mask = miner_inputs(similarity, relevance, mask)
        n, m = mask.shape
        if n % 3 or m < n:
            raise ValueError(
                f"BatchTriplets needs a batch of whole triplets that leads the references; got {n} "
                f"images and {m} references"
            )
        query = torch.arange(0, n, 3, device=mask.device)
        counts = mask[query, query + 1] & mask[query, query + 2]
        opponents = torch.full_like(mask, -1, dtype=torch.int64)
        opponents[query, query + 1] = torch.where(counts, query + 2, -1)
        return opponents
