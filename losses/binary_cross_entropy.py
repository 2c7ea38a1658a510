"""Binary cross-entropy of each label on its own."""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.masked import masked_mean
from ranklight.pairs.selection import loss_inputs, positive_pairs


class BinaryCrossEntropyLoss(nn.Module):
    """Each label decides for itself; the baseline of the multi-label losses.

        ℓ_ij = log(1 + e^{−S_ij}) for positives (R > 0),  log(1 + e^{S_ij}) for negatives

        average="pairs":    mean of ℓ over all selected labels
        average="anchors":  1/n Σ_ij ℓ_ij: its scale grows with the number of labels

    `torch.nn.BCEWithLogitsLoss` with unknown labels left out; without any, average="pairs" is it.

    Args:
        average: What the sum is divided by, see above.

    Example:
        >>> similarity, relevance = torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.0]])
        >>> BinaryCrossEntropyLoss()(similarity, relevance, relevance >= 0)  # log 2
        tensor(0.6931)
    """

    def __init__(self, average: Literal["pairs", "anchors"] = "pairs") -> None:
        super().__init__()
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
        positive = positive_pairs(relevance, selection)
        target = positive.to(similarity.dtype)
        # What is not selected is left out before it can spread: a cost of 0 with a slope of NaN.
        logits = torch.where(selection, similarity, 0)
        cost = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
        if self.average == "pairs":
            return masked_mean(cost, selection)
        return torch.where(selection, cost, 0).sum() / len(similarity)
