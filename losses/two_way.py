"""Labels ranked for each image, and images for each label."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_positive
from ranklight.kernels.masked import (
    log1p_exp,
    log_sum_exp,
    log_sum_exp_over_ranks,
    masked_mean,
)
from ranklight.pairs.selection import loss_inputs, split


class TwoWayLoss(nn.Module):
    """Ranks the labels of each image, and the images of each label.

        ℓ(N, P) = log(1 + e^{A + B}),  A = T_n log Σ_{u ∈ N} e^{S_u / T_n},
                                       B = T_p log Σ_{v ∈ P} e^{−S_v / T_p}

        L = mean over images i of ℓ(N_i, P_i) + mean over labels j of ℓ(N_j, P_j)

    N_i and P_i hold the labels of image i (a row), N_j and P_j the images of label j (a column of
    the batch, on several processes of the global batch). The means are over rows and columns that
    have a positive; where such a one has no negative, its value and gradient are 0. At T_p = 1 and
    T_n = 1 the first half is LSEP, except for the rows it averages over.

    Kobayashi: Two-way Multi-Label Loss, CVPR 2023; no arXiv. T_p = 4 and T_n = 1 as there. The
    released code replaces −∞ by −100 in its sums; here empty sums are exactly empty.

    Args:
        positive_temperature: T_p; larger looks at all positives, smaller at the lowest one only.
        negative_temperature: T_n; larger looks at all negatives, smaller at the highest one only.

    Example:
        >>> similarity, relevance = torch.tensor([[2.0, 2.0]]), torch.tensor([[1.0, 0.0]])
        >>> TwoWayLoss()(similarity, relevance, relevance >= 0)  # rows: log(1 + e^0); columns: 0
        tensor(0.6931)
    """

    def __init__(
        self, positive_temperature: float = 4.0, negative_temperature: float = 1.0
    ) -> None:
        super().__init__()
        check_positive(
            positive_temperature=positive_temperature, negative_temperature=negative_temperature
        )
        self.positive_temperature = positive_temperature
        self.negative_temperature = negative_temperature

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
        low, high = -similarity / self.positive_temperature, similarity / self.negative_temperature
        rows = self._order(log_sum_exp(low, positive), log_sum_exp(high, negative))
        columns = self._order(
            log_sum_exp_over_ranks(low, positive), log_sum_exp_over_ranks(high, negative)
        )
        return masked_mean(*rows) + _mean(*columns)

    def _order(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        violation = self.positive_temperature * low + self.negative_temperature * high
        return log1p_exp(violation), low > -torch.inf


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask, values, 0).sum() / mask.sum().clamp(min=1)
