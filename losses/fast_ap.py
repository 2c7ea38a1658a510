"""Average precision by histograms of distances."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_counts
from ranklight.kernels.masked import masked_mean
from ranklight.kernels.rowwise import in_row_blocks
from ranklight.pairs.selection import loss_inputs, split


class FastAPLoss(nn.Module):
    """One minus average precision, with references ranked by the bin that their distance falls in.

        L = mean over a of  1 − 1/|P_a| Σ_b h⁺_b H⁺_b / H_b
        h_b = Σ_{j ∈ P_a ∪ N_a} max(0, 1 − |D_aj − b Δ| / Δ),   D = ‖z − r‖² = 2 − 2S,   b = 0 .. B

    h is a histogram in which each reference counts in the two bins around its distance, h⁺ that of
    the positives alone, H and H⁺ their cumulative sums; Δ = 4 / B, for unit vectors, whose squared
    distances end at 4. P_a and N_a are the selected positives (R > 0) and negatives; anchors
    without positives are left out of the mean. O(n·m) and no table of n × m × B, however many bins.

    Cakir, He, Xia, Kulis, Sclaroff: Deep Metric Learning to Rank, CVPR 2019; B = 10 is the released
    code's. Same as pytorch-metric-learning, where what is farther than 4 is in no bin, and in the
    last one here.

    Args:
        bins: B; more is closer to average precision, with gradient from fewer references.

    Example:
        >>> similarity, relevance = torch.tensor([[0.2, 0.6]]), torch.tensor([[1.0, 0.0]])
        >>> FastAPLoss()(similarity, relevance, relevance >= 0)  # 1 − 1/2: the positive is second
        tensor(0.5000)
    """

    wants_unit_vectors = True

    def __init__(self, bins: int = 10) -> None:
        super().__init__()
        check_counts(bins=bins)
        self.bins = bins

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
        precision = in_row_blocks(self._equation, similarity, positive, negative)
        positives = positive.sum(1)
        return masked_mean(1 - precision / positives.clamp(min=1), positives > 0)

    def _equation(self, similarity: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Σ_b h⁺_b H⁺_b / H_b of each anchor."""
        near = torch.where(positive | negative, similarity, 1)
        place = ((1 - near) * (self.bins / 2)).clamp(0, self.bins)
        lower = place.detach().floor().clamp(max=self.bins - 1)
        upper_share = place - lower
        right, wrong = (
            self._histogram(lower.long(), upper_share, side.to(place.dtype))
            for side in (positive, negative)
        )
        found = right.cumsum(1)
        total = found + wrong.cumsum(1)
        return (right * found / torch.where(total > 0, total, 1)).sum(1)

    def _histogram(self, lower: Tensor, upper_share: Tensor, counted: Tensor) -> Tensor:
        histogram = upper_share.new_zeros(len(lower), self.bins + 1)
        histogram = histogram.scatter_add(1, lower, (1 - upper_share) * counted)
        return histogram.scatter_add(1, lower + 1, upper_share * counted)
