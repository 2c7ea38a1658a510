"""Softmax cross-entropy, for one label an image or several."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.masked import log_sum_exp
from ranklight.pairs.selection import loss_inputs, positive_pairs


class SoftmaxLoss(nn.Module):
    """Cross-entropy of the softmax over all labels, against one label that applies.

        L = 1/n Σ_i [ log Σ_{j ∈ M_i} e^{S_ij} − 1/|P_i| Σ_{v ∈ P_i} S_iv ]

    This is the mean over the positives of −log softmax(S_i)_v: what drawing one positive at random
    gives on average. With one positive a row it is the usual cross-entropy. A row without positives
    has value 0 and gradient 0; one with all labels positive still asks for equal scores.

    The comparator of Li, Song, Luo, CVPR 2017, arXiv 1704.03135. The released code draws one
    positive an image at each step, which is sampled=True: the same on average, with more noise.

    Args:
        sampled: Draw one positive an image instead of the mean over all of them.

    Example:
        >>> similarity, relevance = torch.tensor([[2.0, 2.0]]), torch.tensor([[1.0, 0.0]])
        >>> SoftmaxLoss()(similarity, relevance, relevance >= 0)  # −log ½
        tensor(0.6931)
    """

    def __init__(self, sampled: bool = False) -> None:
        super().__init__()
        self.sampled = sampled

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
        target = positive_pairs(relevance, selection)
        if self.sampled:
            target = _draw_one(target)
        count = target.sum(1)
        score = torch.where(target, similarity, 0).sum(1) / count.clamp(min=1)
        cost = log_sum_exp(similarity, selection) - score
        return torch.where(count > 0, cost, 0).mean()


def _draw_one(positive: Tensor) -> Tensor:
    lot = torch.where(positive, torch.rand(positive.shape, device=positive.device), -1)
    columns = torch.arange(positive.shape[1], device=positive.device)
    return positive & (columns == lot.argmax(1, keepdim=True))
