"""The probability that a neighbour drawn by its distance is of the right class."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_positive
from ranklight.kernels.masked import log_sum_exp, masked_mean
from ranklight.pairs.selection import loss_inputs, positive_pairs


class NCALoss(nn.Module):
    """A neighbour drawn by a softmax over the row should be any of the positives.

        L = mean over i of  −log( Σ_{p ∈ P_i} e^{−κ D_ip} / Σ_{j ∈ P_i ∪ N_i} e^{−κ D_ij} )
        D = ‖z_i − r‖² = 2 − 2S

    P_i and N_i are the selected positives (R > 0) and negatives; anchors without positives are left
    out of the mean. One close positive is enough, where `SupConLoss` asks for each.

    Goldberger, Roweis, Hinton, Salakhutdinov: Neighbourhood Components Analysis, NeurIPS 2004, in
    the form that maximises the log of the probability. It learns a linear map of any scale, hence
    κ = 1, as in pytorch-metric-learning; unit vectors, whose D ends at 4, want more.

    Args:
        scale: κ, per squared distance; larger looks at the closest references only.

    Example:
        >>> similarity, relevance = torch.tensor([[0.5, 0.5]]), torch.tensor([[1.0, 0.0]])
        >>> NCALoss()(similarity, relevance, relevance >= 0)  # −log ½
        tensor(0.6931)
    """

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        check_positive(scale=scale)
        self.scale = scale

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
        # −κ D = 2 κ S − 2 κ, of which the constant cancels.
        logits = 2 * self.scale * similarity
        all_of_them, right_ones = log_sum_exp(logits, selection), log_sum_exp(logits, positive)
        return masked_mean(all_of_them - right_ones, right_ones > -torch.inf)
