"""Negatives of all distances, equally often."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ranklight.pairs.selection import miner_inputs, split

_SHORTEST = 1e-3


class DistanceWeighted(nn.Module):
    """Draws each positive's opponent so that negatives of all distances are equally likely.

        P(j is the opponent of (a, i)) ∝ 1 / q(max(D_aj, c))   for j ∈ N_a with D_aj < u
        q(D) = D^{d−2} (1 − D²/4)^{(d−3)/2},   D = √(2 − 2S)

    q is the density of the distance between random points on the unit sphere in d dimensions, so
    embeddings must be normalised. Opponents are drawn with replacement, from torch's global
    generator: `seed_everything` fixes them, the number of processes changes them.

    Wu, Manmatha, Smola, Krähenbühl: Sampling Matters in Deep Embedding Learning, ICCV 2017,
    arXiv 1706.07567; c = 0.5 and u = 1.4 as in the released code, which draws uniformly where no
    negative is closer than u. Here such a pair is dropped. pytorch-metric-learning keeps it too.

    Args:
        embedding_dim: d.
        cutoff: c, in distance; closer negatives are drawn as if they were this far. Larger draws
            fewer of the closest, which make gradients noisy. Below 1e-3 it is 1e-3: 1 / q(0) is
            infinite.
        farthest: u, in distance; negatives beyond are not drawn.

    Raises:
        ValueError: d is below 2, c not in [0, 2), or u not above 0.

    Example:
        >>> similarity = torch.tensor([[0.9, 0.5, -0.5]])
        >>> relevance = torch.tensor([[1.0, 0.0, 0.0]])
        >>> DistanceWeighted(8)(similarity, relevance, relevance >= 0).tolist()  # √3 is too far
        [[1, -1, -1]]
    """

    wants_unit_vectors = True

    def __init__(self, embedding_dim: int, cutoff: float = 0.5, farthest: float = 1.4) -> None:
        super().__init__()
        if embedding_dim < 2:
            raise ValueError(f"a sphere needs embedding_dim of at least 2; got {embedding_dim}")
        if not 0 <= cutoff < 2 or not farthest > 0:
            raise ValueError(
                "on a sphere distances are 0..2: cutoff must be in [0, 2) and farthest above 0; "
                f"got {cutoff} and {farthest}"
            )
        self.embedding_dim = embedding_dim
        self.cutoff = cutoff
        self.farthest = farthest

    def forward(
        self,
        similarity: Float[Tensor, "n m"],
        relevance: Float[Tensor, "n m"],
        mask: Bool[Tensor, "n m"],
    ) -> Int[Tensor, "n m"]:
        """One opponent a positive pair, −1 elsewhere.

        Raises:
            TypeError: S or R are not floats, or the mask is not Bool.
            ValueError: The three are not of one shape and on one device.
        """
        similarity, relevance, mask = miner_inputs(similarity, relevance, mask)
        positive, negative = split(relevance, mask)
        if not mask.numel():
            return torch.full_like(mask, -1, dtype=torch.int64)
        closest = max(self.cutoff, _SHORTEST) ** 2
        squared = (2 - 2 * similarity).clamp(min=closest, max=4 - 1e-6)
        drawable = negative & (2 - 2 * similarity < self.farthest**2)
        log_density = (self.embedding_dim - 2) / 2 * squared.log()
        log_density += (self.embedding_dim - 3) / 2 * (1 - squared / 4).log()
        least = torch.where(drawable, log_density, torch.inf).amin(1, keepdim=True)
        weight = torch.where(drawable, (least - log_density).exp(), 0).double()
        up_to = weight.cumsum(1)
        drawn = torch.rand_like(up_to) * up_to[:, -1:]
        column = torch.searchsorted(up_to, drawn, right=True).clamp(max=similarity.shape[1] - 1)
        valid = positive & drawable.gather(1, column)
        return torch.where(valid, column, -1)
