"""Ranking against 0, which then decides."""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.masked import log1p_sum_exp
from ranklight.pairs.selection import loss_inputs, split


class ZLPRLoss(nn.Module):
    """Ranks labels that apply above 0 and 0 above labels that don't, so that 0 decides.

        L = 1/n Σ_i [ log(1 + Σ_{u ∈ N_i} e^{S_iu}) + log(1 + Σ_{v ∈ P_i} e^{−S_iv}) ]

    LSEP with one more label of score 0 on each side. A row without positives still pushes its
    negatives below 0, one without negatives its positives above.

    Su, Zhu, Su, Pan, Liu: ZLPR: A Novel Loss for Multi-label Classification, 2022,
    arXiv 2208.02955. No hyperparameters, no difference.

    Example:
        >>> import torch
        >>> similarity, relevance = torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.0]])
        >>> ZLPRLoss()(similarity, relevance, relevance >= 0)  # log(1 + e^0), twice
        tensor(1.3863)
    """

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
        return (log1p_sum_exp(similarity, negative) + log1p_sum_exp(-similarity, positive)).mean()
