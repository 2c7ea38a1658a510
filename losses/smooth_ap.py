"""The smooth average precision loss."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.masked import at_least_float32, mean_over_ranks, split
from ranklight.kernels.packing import true_columns
from ranklight.kernels.rowwise import in_row_blocks, row_chunks


class SmoothAPLoss(nn.Module):
    """One minus average precision, with ranks made smooth by a sigmoid.

        L = mean over a of  1 − 1/|P_a| Σ_{i ∈ P_a} rank(i, P_a) / rank(i, P_a ∪ N_a)
        rank(i, J) = 1 + Σ_{j ∈ J, j ≠ i} σ((S_aj − S_ai) / τ)

    P_a and N_a are the selected positives (R > 0) and negatives; anchors without positives are left
    out of the mean. Positives × references are held for a few anchors at a time, or for a part of
    one anchor's positives.

    Brown, Xie, Kalogeiton, Zisserman: Smooth-AP: Smoothing the Path Towards Large-Scale Image
    Retrieval, ECCV 2020, arXiv 2007.12163; τ = 0.01 is theirs. In the released code, and in
    pytorch-metric-learning, the query stays in its own ranking and counts as a positive of rank 1;
    here the mask leaves it out. They need classes of equal size; here any sizes do.

    Args:
        temperature: τ, in similarity; smaller is closer to average precision, with less gradient.
    """

    def __init__(self, temperature: float = 0.01) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(
        self,
        similarity: Float[Tensor, "n m"],
        relevance: Float[Tensor, "n m"],
        selection: Bool[Tensor, "n m"],
    ) -> Float[Tensor, ""]:
        """Loss of a selection of pairs."""
        positive, _ = split(relevance, selection)
        similarity, columns = at_least_float32(similarity), true_columns(positive)
        (cost,) = in_row_blocks(
            self._costs,
            *(similarity, positive, selection, columns),
            elements_per_row=columns.shape[1] * similarity.shape[1],
        )
        return mean_over_ranks(cost.sum(), positive.any(1).sum())

    def _costs(
        self, similarity: Tensor, positive: Tensor, selected: Tensor, columns: Tensor
    ) -> tuple[Tensor, Tensor]:
        similarity = torch.where(selected, similarity, 0)
        cost, derivative = similarity.new_zeros(len(similarity)), torch.zeros_like(similarity)
        for some in row_chunks(columns.T, similarity.numel()):
            paid, slope = self._of_positives(similarity, positive, selected, columns[:, some])
            cost, derivative = cost + paid, derivative + slope
        return cost, derivative

    def _of_positives(
        self, similarity: Tensor, positive: Tensor, selected: Tensor, columns: Tensor
    ) -> tuple[Tensor, Tensor]:
        found, column = (columns >= 0).to(similarity.dtype), columns.clamp(min=0)
        excess = similarity.unsqueeze(1) - similarity.gather(1, column).unsqueeze(2)
        ahead = (excess / self.temperature).sigmoid() * selected.unsqueeze(1)
        ahead.scatter_(2, column.unsqueeze(2), 0)
        among, overall = 1 + (ahead * positive.unsqueeze(1)).sum(2), 1 + ahead.sum(2)
        share = found / positive.sum(1, keepdim=True).clamp(min=1)
        cost = (share * (1 - among / overall)).sum(1)
        weight = (among / overall).unsqueeze(2) - positive.unsqueeze(1).to(excess.dtype)
        slope = ahead * (1 - ahead) * weight * (share / overall / self.temperature).unsqueeze(2)
        return cost, slope.sum(1).scatter_add(1, column, -slope.sum(2))
