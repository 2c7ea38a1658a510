"""The weight that a loss gives to each pair."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def pair_weights(
    loss: Callable[[Tensor, Tensor, Tensor], Tensor],
    similarity: Float[Tensor, "n m"],
    relevance: Float[Tensor, "n m"],
    selection: Bool[Tensor, "n m"] | Int[Tensor, "n m"],
) -> Float[Tensor, "n m"]:
    """How much a loss cares about each pair: w_ij = |∂L / ∂S_ij|.

    Losses of pairs differ in nothing else: with the weights held fixed, Σ w S over the pairs that
    it pushes apart minus those that it pulls together has the gradient of L.

    Wang, Han, Huang, Dong, Scott: Multi-Similarity Loss with General Pair Weighting for Deep Metric
    Learning, CVPR 2019, arXiv 1904.06627. By autograd, for any loss, where the paper has a formula
    for each; the mean over anchors is part of L here, hence of the weights.

    Args:
        loss: Any loss of (similarity, relevance, selection).
        similarity: S.
        relevance: R.
        selection: Pairs or opponents, as the loss takes them.

    Example:
        >>> from ranklight.losses import HingeRankingLoss
        >>> similarity, relevance = torch.tensor([[0.5, 0.0, 9.0]]), torch.tensor([[1.0, 0.0, 0.0]])
        >>> pair_weights(HingeRankingLoss(), similarity, relevance, relevance >= 0).tolist()
        [[2.0, 1.0, 1.0]]
    """
    similarity = similarity.detach().clone().requires_grad_()
    (weights,) = torch.autograd.grad(loss(similarity, relevance, selection), similarity)
    return weights.abs()
