"""Pulling anchors to the center of their class."""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.masked import masked_mean, sum_over_ranks
from ranklight.pairs.selection import loss_inputs, positive_pairs


class CenterLoss(nn.Module):
    """Pulls each anchor to the center of its class.

        ℓ_i = ½ ‖z_i − c_{y_i}‖² = 1 − max { S_ij : j ∈ P_i }

        average="anchors":  mean of ℓ over the anchors that have a center
        average="sum":      Σ ℓ, the paper's form

    The references are `ClassCenters`, of which the closest counts where a class has several.

    Wen, Zhang, Li, Qiao: A Discriminative Feature Learning Approach for Deep Face Recognition, ECCV
    2016; the baseline of the two-head regularizer (Taha et al., WACV 2020, arXiv 1901.08616) beside
    cross-entropy with weight 0.003, on average="sum". The released code of the latter never moves
    its centers, by a mistake; `ClassCenters(center_learning_rate=0.5)` moves them by the paper's
    rule.

    Args:
        average: What the sum is divided by, see above.

    Example:
        >>> similarity, relevance = torch.tensor([[0.5, 0.75]]), torch.tensor([[1.0, 0.0]])
        >>> CenterLoss()(similarity, relevance, relevance >= 0)  # 1 − 0.5
        tensor(0.5000)
    """

    def __init__(self, average: Literal["anchors", "sum"] = "anchors") -> None:
        super().__init__()
        self.average = average

    def forward(
        self,
        similarity: Float[Tensor, "n m"],
        relevance: Float[Tensor, "n m"],
        selection: Bool[Tensor, "n m"],
    ) -> Float[Tensor, ""]:
        """Loss of the selected centers.

        Raises:
            TypeError: S or R are not floats, or the selection is not of pairs (Bool).
            ValueError: The three are not of one shape and on one device.
        """
        similarity, relevance, selection = loss_inputs(similarity, relevance, selection)
        positive = positive_pairs(relevance, selection)
        own = torch.where(positive, similarity, -torch.inf).amax(1)
        has_center = positive.any(1)
        if self.average == "anchors":
            return masked_mean(1 - own, has_center)
        return sum_over_ranks(torch.where(has_center, 1 - own, 0).sum())
