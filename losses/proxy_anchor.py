"""Class centers that are anchors, over the columns of S."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_finite, check_positive
from ranklight.kernels.masked import log1p_exp, log_sum_exp_over_ranks
from ranklight.pairs.selection import loss_inputs, split


class ProxyAnchorLoss(nn.Module):
    """Each class center (proxy) is the anchor: it pulls its class and pushes the others.

        L = 1/|J⁺| Σ_{j ∈ J⁺} log(1 + Σ_{i ∈ P_j} e^{−α (S_ij − δ)})
          + 1/|J|  Σ_j        log(1 + Σ_{i ∈ N_j} e^{ α (S_ij + δ)})

    over the columns j of S; P_j and N_j are the selected positives (R > 0) and negatives of column
    j in the batch of all ranks, J⁺ the columns that have positives. The references must be the same
    on all ranks, hence `ClassCenters` and not the batch. α and δ are for unit vectors: as these
    centers are, the embeddings must be.

    Kim, Kim, Cho, Kwak: Proxy Anchor Loss for Deep Metric Learning, CVPR 2020, arXiv 2003.13911;
    defaults are theirs. Same as the released code and as pytorch-metric-learning.

    Args:
        alpha: α, sharpness; larger looks at the hardest images of a column only.
        margin: δ, in similarity; larger asks more of both kinds.

    Example:
        >>> similarity, relevance = torch.tensor([[0.1]]), torch.tensor([[1.0]])
        >>> ProxyAnchorLoss()(similarity, relevance, relevance >= 0)  # log(1 + e^0)
        tensor(0.6931)
    """

    wants_unit_vectors = True

    def __init__(self, alpha: float = 32.0, margin: float = 0.1) -> None:
        super().__init__()
        check_positive(alpha=alpha)
        check_finite(margin=margin)
        self.alpha = alpha
        self.margin = margin

    def forward(
        self,
        similarity: Float[Tensor, "n m"],
        relevance: Float[Tensor, "n m"],
        selection: Bool[Tensor, "n m"],
    ) -> Float[Tensor, ""]:
        """Loss of the selected proxies.

        Raises:
            TypeError: S or R are not floats, or the selection is not of pairs (Bool).
            ValueError: The three are not of one shape and on one device.
        """
        similarity, relevance, selection = loss_inputs(similarity, relevance, selection)
        positive, negative = split(relevance, selection)
        near = log_sum_exp_over_ranks(-self.alpha * (similarity - self.margin), positive)
        far = log_sum_exp_over_ranks(self.alpha * (similarity + self.margin), negative)
        present = (near > -torch.inf).sum().clamp(min=1)
        return log1p_exp(near).sum() / present + log1p_exp(far).mean()
