"""The exponential pairwise loss of back-propagation for multi-label learning."""

from typing import Literal

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_choice
from ranklight.kernels.masked import log_sum_exp
from ranklight.pairs.selection import loss_inputs, split

_LARGEST_EXPONENT = 60.0

Average = Literal["anchors", "pairs"]


class BPMLLLoss(nn.Module):
    """The exponential of every pair's violation: the worst pairs are nearly all that counts.

        ℓ_i = Σ_{u ∈ N_i} Σ_{v ∈ P_i} e^{S_iu − S_iv}

        average="anchors":  1/n Σ_i ℓ_i
        average="pairs":    1/n Σ_i ℓ_i / (|P_i| |N_i|)

    In O(m), as e^{A + B} with A = log Σ_{u ∈ N_i} e^{S_iu} and B = log Σ_{v ∈ P_i} e^{−S_iv}. A row
    without positives or without negatives has no pair: value 0, gradient 0.

    Zhang, Zhou: Multilabel Neural Networks with Applications to Functional Genomics and Text
    Categorization, TKDE 2006, average="pairs" on scores in −1..1. Our default is the comparator in
    the released code of LSEP (Li, Song, Luo, CVPR 2017, arXiv 1704.03135), on logits, except that
    this code adds a constant 1 for each unused place in its list of pairs. Above A + B = 60, where
    neither trains, the exponential goes on as its tangent, so that it stays finite.

    Args:
        average: What the sum is divided by, see above.

    Example:
        >>> import torch
        >>> similarity, relevance = torch.tensor([[1.0, 1.0, 1.0]]), torch.tensor([[1.0, 0.0, 0.0]])
        >>> BPMLLLoss()(similarity, relevance, relevance >= 0)  # two pairs of e^0
        tensor(2.)
    """

    def __init__(self, average: Average = "anchors") -> None:
        super().__init__()
        check_choice(Average, average=average)
        self.average = average

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
        order = log_sum_exp(similarity, negative) + log_sum_exp(-similarity, positive)
        beyond = F.relu(order - _LARGEST_EXPONENT)
        cost = order.clamp(max=_LARGEST_EXPONENT).exp() * (1 + beyond)
        if self.average == "pairs":
            cost = cost / (positive.sum(1) * negative.sum(1)).clamp(min=1)
        return cost.mean()
