"""A softmax over the row, which should pick the positives."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_positive
from ranklight.kernels.masked import log_sum_exp, masked_mean
from ranklight.pairs.selection import loss_inputs, positive_pairs


class SupConLoss(nn.Module):
    """Each positive should be the one that a softmax over the row picks.

        L = mean over i of  −1/|P_i| Σ_{p ∈ P_i} log( e^{S_ip/τ} / Σ_{j ∈ P_i ∪ N_i} e^{S_ij/τ} )

    P_i and N_i are the selected positives (R > 0) and negatives; anchors without positives are left
    out of the mean. τ is for similarities of unit vectors.

    Khosla et al.: Supervised Contrastive Learning, NeurIPS 2020, arXiv 2004.11362, the form with
    the sum outside of the logarithm. τ = 0.07 is the released code's default (0.1 on CIFAR); the
    code's factor τ / 0.07 is 1 there and left out. pytorch-metric-learning has τ = 0.1, and leaves
    out anchors of loss 0 as well, and all anchors of a batch in which no pair is negative.

    Args:
        temperature: τ, in similarity; smaller looks at the hardest negatives only.

    Example:
        >>> similarity, relevance = torch.tensor([[0.5, 0.5]]), torch.tensor([[1.0, 0.0]])
        >>> SupConLoss()(similarity, relevance, relevance >= 0)  # −log ½
        tensor(0.6931)
    """

    wants_unit_vectors = True

    def __init__(self, temperature: float = 0.07) -> None:
        super().__init__()
        check_positive(temperature=temperature)
        self.temperature = temperature

    def forward(
        self,
        similarity: Float[Tensor, "n m"],
        relevance: Float[Tensor, "n m"],
        selection: Bool[Tensor, "n m"],
    ) -> Float[Tensor, ""]:
        """Loss of a selection of pairs.

        Raises:
            TypeError: S or R are not floats, or the selection is not of pairs (Bool).
            ValueError: The three are not of one shape and on one device.
        """
        similarity, relevance, selection = loss_inputs(similarity, relevance, selection)
        positive = positive_pairs(relevance, selection)
        logits = similarity / self.temperature
        number = positive.sum(1)
        picked = torch.where(positive, logits, 0).sum(1) / number.clamp(min=1)
        return masked_mean(log_sum_exp(logits, selection) - picked, number > 0)
