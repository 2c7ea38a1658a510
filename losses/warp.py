"""Pairs of labels that weigh more the lower the one that applies is ranked."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_finite
from ranklight.kernels.orders import ascending, columns_of
from ranklight.kernels.triplet_hinge import count_violations, pair_hinge
from ranklight.pairs.selection import loss_inputs, split


class WARPLoss(nn.Module):
    """The hinge ranking loss, in which a label that applies weighs more the lower it is ranked.

        L = 1/n Σ_i Σ_{v ∈ P_i} w(r_iv) Σ_{u ∈ N_i} max(0, m + S_iu − S_iv),  w(r) = Σ_{k ≤ r} 1/k

    Exact rank: r_iv is 1 + the number of selected labels, of either kind, that score above v.
    Sampled rank: r_iv = ⌊|N_i| / q⌋, where the q-th negative drawn (with replacement) is the first
    with S_iu + m > S_iv; 0 when it takes more than |N_i| draws. The weights carry no gradient.

    Weston, Bengio, Usunier (WSABIE, IJCAI 2011) sample; so does, by its text, the comparator of Li,
    Song, Luo, CVPR 2017, arXiv 1704.03135, whose released code ranks exactly: our default. WSABIE
    pays only for the negative it drew; here, as in that code, all pairs of v are summed. The code
    breaks ties in score by the sort's order and draws at most 1000 pairs an image; here equal
    scores share the best rank and all pairs count. The number of draws comes from its geometric
    distribution, without drawing.

    Args:
        margin: m; larger keeps more pairs active.
        sampled_rank: Estimate the rank as the paper does.

    Example:
        >>> similarity, relevance = torch.tensor([[0.0, 0.5]]), torch.tensor([[1.0, 0.0]])
        >>> WARPLoss()(similarity, relevance, relevance >= 0)  # rank 2: (1 + 1/2) · (1 + 0.5 − 0)
        tensor(2.2500)
    """

    def __init__(self, margin: float = 1.0, sampled_rank: bool = False) -> None:
        super().__init__()
        check_finite(margin=margin)
        self.margin = margin
        self.sampled_rank = sampled_rank

    def forward(
        self,
        similarity: Float[Tensor, "n m"],
        relevance: Float[Tensor, "n m"],
        selection: Bool[Tensor, "n m"],
    ) -> Float[Tensor, ""]:
        """Loss of a selection of labels.

        Raises:
            TypeError: S or R are not floats, or the selection is not of pairs (Bool).
            ValueError: The three are not of one shape and on one device.
        """
        similarity, relevance, selection = loss_inputs(similarity, relevance, selection)
        positive, negative = split(relevance, selection)
        if self.sampled_rank:
            ranks = self._sampled_ranks(similarity.detach(), positive, negative)
        else:
            ranks = _exact_ranks(similarity.detach(), selection)
        weights = _harmonic_numbers(similarity)[ranks]
        return pair_hinge(similarity, positive, negative, weights, margin=self.margin).mean()

    def _sampled_ranks(self, similarity: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        candidates = negative.sum(1, keepdim=True)
        violating = count_violations(similarity, positive, negative, self.margin)
        chance = violating / candidates.clamp(min=1)
        uniform = 1 - torch.rand_like(similarity)
        draws = (uniform.log() / torch.log1p(-chance)).ceil().clamp(min=1)
        # Where nothing violates, no draw is the first; the logarithms divide 0 by 0 there.
        return torch.where(violating > 0, candidates / draws, 0).long()


def _exact_ranks(similarity: Tensor, selection: Tensor) -> Tensor:
    order = ascending(-similarity, torch.zeros_like(selection), selection)
    ordered = similarity.gather(1, order)
    lower = F.pad(ordered[:, 1:] < ordered[:, :-1], (1, 0))
    rank = 1 + torch.where(lower, columns_of(similarity), 0).cummax(1).values
    return torch.where(selection, torch.empty_like(order).scatter_(1, order, rank), 0)


def _harmonic_numbers(similarity: Tensor) -> Tensor:
    steps = torch.arange(
        1, similarity.shape[1] + 1, dtype=similarity.dtype, device=similarity.device
    )
    return F.pad((1 / steps).cumsum(0), (1, 0))
