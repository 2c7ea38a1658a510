"""All pairs of labels, in the time of two sums."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_counts
from ranklight.kernels.masked import (
    log1p_exp,
    log1p_sum_exp,
    log_sum_exp,
)
from ranklight.kernels.rowwise import in_row_blocks
from ranklight.pairs.selection import loss_inputs, split


class LSEPLoss(nn.Module):
    """A smooth hinge on the worst-ordered pairs of a label that doesn't apply and one that does.

        L = 1/n Σ_i log(1 + Σ_{u ∈ N_i} Σ_{v ∈ P_i} e^{S_iu − S_iv})

    The double sum is a product of two sums, so this costs O(m) and no table of pairs:
    log(1 + e^{A + B}) with A = log Σ_{u ∈ N_i} e^{S_iu} and B = log Σ_{v ∈ P_i} e^{−S_iv}. A row
    without positives or without negatives has no pair: value 0, gradient 0.

    Li, Song, Luo: Improving Pairwise Ranking for Multi-label Image Classification, CVPR 2017,
    arXiv 1704.03135. The paper sums over at most t sampled pairs, 1000 in the released code; here
    all pairs count unless `max_pairs` says otherwise. Ours are drawn evenly over the list of pairs,
    each with the same chance and none twice, where the code shuffles the list.

    Args:
        max_pairs: t, the most pairs of an image that count, drawn anew at each call. None: all.

    Example:
        >>> similarity, relevance = torch.tensor([[2.0, 2.0]]), torch.tensor([[1.0, 0.0]])
        >>> LSEPLoss()(similarity, relevance, relevance >= 0)  # log(1 + e^0)
        tensor(0.6931)
    """

    def __init__(self, max_pairs: int | None = None) -> None:
        super().__init__()
        if max_pairs is not None:
            check_counts(max_pairs=max_pairs)
        self.max_pairs = max_pairs

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
        if self.max_pairs is None:
            return in_row_blocks(_equation, similarity, positive, negative).mean()
        v, u, drawn = _draw(positive, negative, self.max_pairs)
        return log1p_sum_exp(similarity.gather(1, u) - similarity.gather(1, v), drawn).mean()


def _equation(similarity: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    return log1p_exp(log_sum_exp(similarity, negative) + log_sum_exp(-similarity, positive))


def _draw(positive: Tensor, negative: Tensor, max_pairs: int) -> tuple[Tensor, Tensor, Tensor]:
    """Columns v and u of pairs drawn from each row, and which of the drawn count.

    The list of a row's pairs, positive by positive, is cut into `max_pairs` stretches that differ
    in length by one at most, and one pair is drawn from each: none can come twice. A pair in a
    shorter stretch would come more often, so the list is first turned, as a ring, by a random
    number of pairs, after which each pair is equally likely to lie in any stretch.
    """
    negatives = negative.sum(1, keepdim=True)
    pairs = positive.sum(1, keepdim=True) * negatives
    stretch = torch.arange(max_pairs + 1, device=positive.device)
    stretches = pairs.clamp(max=max_pairs)
    edges = stretch * pairs // stretches.clamp(min=1)
    start, length = edges[:, :-1], edges.diff(dim=1).clamp(min=1)
    # The bounds differ by row, which `randint` has not; of 2^62 the remainder is as good as even.
    within = torch.randint(1 << 62, start.shape, device=start.device) % length
    turn = torch.randint(1 << 62, pairs.shape, device=pairs.device) % pairs.clamp(min=1)
    pair = (start + within + turn) % pairs.clamp(min=1)
    v, u = pair // negatives.clamp(min=1), pair % negatives.clamp(min=1)
    return _nth_true(positive, v), _nth_true(negative, u), stretch[:-1] < stretches


def _nth_true(mask: Tensor, nth: Tensor) -> Tensor:
    """The columns of the mask's n-th True elements, from 0."""
    return mask.to(torch.uint8).argsort(dim=1, descending=True, stable=True).gather(1, nth)
