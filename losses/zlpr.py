"""The zero-bounded log-sum-exp and pairwise rank-based loss."""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.masked import log1p_sum_exp
from ranklight.pairs.selection import split


class ZLPRLoss(nn.Module):
    """Ranks labels that apply above 0 and 0 above labels that don't, so that 0 decides.

        L = 1/n Σ_i [ log(1 + Σ_{u ∈ N_i} e^{S_iu}) + log(1 + Σ_{v ∈ P_i} e^{−S_iv}) ]

    LSEP with one more label of score 0 on each side. A row without positives still pushes its
    negatives below 0, one without negatives its positives above.

    Su, Zhu, Su, Pan, Liu: ZLPR: A Novel Loss for Multi-label Classification, 2022,
    arXiv 2208.02955. No hyperparameters, no difference.
    """

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
        positive, negative = split(relevance, selection)
        return (log1p_sum_exp(similarity, negative) + log1p_sum_exp(-similarity, positive)).mean()
