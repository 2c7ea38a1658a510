"""Binary cross-entropy of each label on its own."""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.masked import at_least_float32, masked_mean
from ranklight.pairs.selection import split


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
            TypeError: The selection is not of pairs (Bool).
        """
        positive, _ = split(relevance, selection)
        similarity = at_least_float32(similarity)
        target = positive.to(similarity.dtype)
        cost = F.binary_cross_entropy_with_logits(similarity, target, reduction="none")
        if self.average == "pairs":
            return masked_mean(cost, selection)
        return torch.where(selection, cost, 0).sum() / len(similarity)
