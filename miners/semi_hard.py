"""Negatives beyond the positive, the closest one each."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ranklight.kernels.checks import check_finite
from ranklight.kernels.masked import at_least_float32
from ranklight.kernels.orders import closest_below
from ranklight.pairs.selection import miner_inputs, split


class SemiHard(nn.Module):
    """Gives each positive the closest negative beyond it as its opponent.

        opponent of (a, i) = argmax { S_aj : j ∈ N_a, S_aj < S_ai }
                             or where there is none, argmin { S_aj : j ∈ N_a }

    Where no negative is beyond the positive, the farthest one stands in. With a margin the negative
    must lie within it, D_ai < D_aj < D_ai + m, and a pair without such a negative is dropped.

    The rule without margin is that of the released code of Taha, Chen, Misu, Shrivastava, Davis:
    Boosting Standard Classification Architectures Through a Ranking Regularizer, WACV 2020,
    arXiv 1901.08616: an easy opponent costs nothing in the loss. The margin is FaceNet's (Schroff
    et al., CVPR 2015, arXiv 1503.03832), which takes any negative of the band where we take the
    closest; pytorch-metric-learning keeps all of them. Of negatives exactly as close the last is
    taken, where the released code shares the gradient among them.

    Args:
        margin: m, in squared distance; None does not bound the opponent's distance. Use the loss's.

    Example:
        >>> similarity = torch.tensor([[0.5, 0.8, 0.4, 0.1]])
        >>> relevance = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
        >>> SemiHard()(similarity, relevance, relevance >= 0).tolist()
        [[2, -1, -1, -1]]
    """

    def __init__(self, margin: float | None = None) -> None:
        super().__init__()
        if margin is not None:
            check_finite(margin=margin)
        self.margin = margin

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
        similarity = at_least_float32(similarity)
        if self.margin is None:
            return closest_below(similarity, positive, negative, or_farthest=True)
        opponent = closest_below(similarity, positive, negative)
        closest = similarity.gather(1, opponent.clamp(min=0))
        return torch.where(closest > similarity - self.margin / 2, opponent, -1)
