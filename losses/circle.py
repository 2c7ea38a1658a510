"""A softmax over pairs, each of which is weighted by how far it is from where it should be."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_finite, check_positive
from ranklight.kernels.masked import log1p_exp, log_sum_exp, masked_mean, masked_where
from ranklight.pairs.selection import loss_inputs, split


class CircleLoss(nn.Module):
    """Pulls each positive and pushes each negative the more, the farther it is from its optimum.

        L = mean over i of  log(1 + Σ_{j ∈ N_i} e^{ γ α⁻_ij (S_ij − m)}
                                  · Σ_{k ∈ P_i} e^{−γ α⁺_ik (S_ik − 1 + m)})
        α⁺ = max(0, 1 + m − S),   α⁻ = max(0, S + m),   both taken as constants

    P_i and N_i are the selected positives (R > 0) and negatives; anchors without either are left
    out of the mean. For similarities of unit vectors. The boundary between positives and negatives
    is a circle in the plane of the two similarities.

    Sun, Cheng, Zhang, Zhang, Zheng, Wang, Wei: Circle Loss: A Unified Perspective of Pair
    Similarity Optimization, CVPR 2020, arXiv 2002.10857, the form with pairwise labels. Defaults
    are theirs for fine-grained retrieval; faces have m = 0.25 and γ = 256, persons 0.25 and 128.
    pytorch-metric-learning has the same, and leaves anchors of loss 0 out of the mean as well.

    Args:
        margin: m, in similarity; larger is content with less: positives above 1 − m, negatives
            below m.
        scale: γ; larger looks at the hardest pairs only.

    Example:
        >>> similarity, relevance = torch.tensor([[0.6, 0.4]]), torch.tensor([[1.0, 0.0]])
        >>> CircleLoss()(similarity, relevance, relevance >= 0)  # log(1 + e^0 · e^0)
        tensor(0.6931)
    """

    wants_unit_vectors = True

    def __init__(self, margin: float = 0.4, scale: float = 80.0) -> None:
        super().__init__()
        check_finite(margin=margin)
        check_positive(scale=scale)
        self.margin = margin
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
        positive, negative = split(relevance, selection)
        now = similarity.detach()
        pull_weight = masked_where((1 + self.margin - now).relu_().mul_(-self.scale), positive)
        push_weight = masked_where((now + self.margin).relu_().mul_(self.scale), negative)
        pull = log_sum_exp(pull_weight * (similarity - 1 + self.margin), positive)
        push = log_sum_exp(push_weight * (similarity - self.margin), negative)
        both = pull + push
        return masked_mean(log1p_exp(both), both > -torch.inf)
