"""Average precision, differentiable."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_positive
from ranklight.kernels.masked import masked_mean
from ranklight.kernels.packing import true_columns
from ranklight.kernels.rowwise import in_row_blocks
from ranklight.pairs.selection import loss_inputs, positive_pairs


class SmoothAPLoss(nn.Module):
    """One minus average precision, with ranks made smooth by a sigmoid.

        L = mean over a of  1 − 1/|P_a| Σ_{i ∈ P_a} rank(i, P_a) / rank(i, P_a ∪ N_a)
        rank(i, J) = 1 + Σ_{j ∈ J, j ≠ i} σ((S_aj − S_ai) / τ)

    P_a and N_a are the selected positives (R > 0) and negatives; anchors without positives are left
    out of the mean. Positives × references are held for a few anchors at a time, or for a part of
    one anchor's positives. τ is for similarities of unit vectors.

    Brown, Xie, Kalogeiton, Zisserman: Smooth-AP: Smoothing the Path Towards Large-Scale Image
    Retrieval, ECCV 2020, arXiv 2007.12163; τ = 0.01 is theirs. In the released code, and in
    pytorch-metric-learning, the query stays in its own ranking and counts as a positive of rank 1;
    here the mask leaves it out. They need classes of equal size; here any sizes do.

    Args:
        temperature: τ, in similarity; smaller is closer to average precision, with less gradient.

    Example:
        >>> similarity, relevance = torch.tensor([[0.25, 0.75]]), torch.tensor([[1.0, 0.0]])
        >>> SmoothAPLoss()(similarity, relevance, relevance >= 0)  # 1 − 1/2: the positive is second
        tensor(0.5000)
    """

    wants_unit_vectors = True

    def __init__(self, temperature: float = 0.01) -> None:
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
        precision = in_row_blocks(
            self._equation, similarity, positive, selection, terms=true_columns(positive)
        )
        positives = positive.sum(1)
        average_precision = precision / positives.clamp(min=1)
        return masked_mean(1 - average_precision, positives > 0)

    def _equation(
        self, similarity: Tensor, positive: Tensor, selection: Tensor, columns: Tensor
    ) -> Tensor:
        """Σ rank(i, P_a) / rank(i, P_a ∪ N_a) of each anchor over i in these columns (−1: none)."""
        similarity, column = similarity / self.temperature, columns.clamp(min=0)
        own = torch.where(columns >= 0, similarity.gather(1, column), 0)
        # σ(−∞) = 0: what is not selected is above nothing, and no reference is above itself.
        others = torch.where(selection, similarity, -torch.inf)
        excess = others.unsqueeze(1) + own.neg().unsqueeze(2)
        above = excess.scatter_(2, column.unsqueeze(2), -torch.inf).sigmoid()
        among_positives = 1 + (above * positive.to(above.dtype).unsqueeze(1)).sum(2)
        among_all = 1 + above.sum(2)
        return torch.where(columns >= 0, among_positives / among_all, 0).sum(1)
