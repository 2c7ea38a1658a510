"""Average precision, bounded from above."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_finite, check_positive
from ranklight.kernels.masked import masked_mean
from ranklight.kernels.packing import true_columns
from ranklight.kernels.rowwise import in_row_blocks
from ranklight.pairs.selection import loss_inputs, split


class SupAPLoss(nn.Module):
    """An upper bound of one minus average precision, whose gradient does not vanish.

        L = mean over a of  1 − 1/|P_a| Σ_{i ∈ P_a} rank⁺_i / (rank⁺_i + Σ_{j ∈ N_a} H(S_aj − S_ai))
        rank⁺_i = 1 + |{j ∈ P_a, j ≠ i: S_aj ≥ S_ai}|, without gradient
        H(x) = σ(x/τ) for x ≤ 0,  ½ + σ(x/τ) for 0 < x ≤ δ,  ½ + σ(δ/τ) + ρ (x − δ) beyond

    P_a and N_a are the selected positives (R > 0) and negatives; anchors without positives are left
    out of the mean. H is at least the step that counts who is ahead, hence the bound, and grows
    with the distance by which a negative is ahead, where the sigmoid of `SmoothAPLoss` is flat.
    Positives × references are held for a few anchors at a time, or for a part of one anchor's
    positives. τ, ρ and δ are for similarities of unit vectors.

    Ramzi, Thome, Rambour, Audebert, Bitot: Robust and Decomposable Average Precision for Image
    Retrieval, NeurIPS 2021, arXiv 2110.01445. Defaults are theirs; the released code has 1.44 where
    H is continuous with ½ + σ(δ/τ) = 1.493, and keeps the query in its own ranking, which the mask
    leaves out here. Their ROADMAP is the sum of this loss and `ContrastiveLoss(0.9, 0.6)`, half of
    each: `pairs.WeightedSum`.

    Args:
        temperature: τ, in similarity; smaller is closer to the step below δ.
        slope: ρ; larger pushes negatives that are far ahead harder.
        linear_from: δ, in similarity; larger takes more negatives for nearly right.

    Example:
        >>> similarity, relevance = torch.tensor([[0.25, 0.26]]), torch.tensor([[1.0, 0.0]])
        >>> SupAPLoss()(similarity, relevance, relevance >= 0)  # 1 − 1 / (1 + ½ + σ(1))
        tensor(0.5518)
    """

    wants_unit_vectors = True

    def __init__(
        self, temperature: float = 0.01, slope: float = 100.0, linear_from: float = 0.05
    ) -> None:
        super().__init__()
        check_positive(temperature=temperature, slope=slope)
        check_finite(linear_from=linear_from)
        self.temperature = temperature
        self.slope = slope
        self.linear_from = linear_from

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
        precision = in_row_blocks(
            self._equation, similarity, positive, negative, terms=true_columns(positive)
        )
        positives = positive.sum(1)
        return masked_mean(1 - precision / positives.clamp(min=1), positives > 0)

    def _equation(
        self, similarity: Tensor, positive: Tensor, negative: Tensor, columns: Tensor
    ) -> Tensor:
        """Σ rank⁺_i / rank_i of each anchor over i in these columns (−1: none)."""
        own = torch.where(columns >= 0, similarity.gather(1, columns.clamp(min=0)), 0).unsqueeze(2)
        rivals = torch.where(positive, similarity.detach(), -torch.inf).unsqueeze(1)
        among_positives = (rivals >= own).sum(2)  # itself is the 1
        others = torch.where(negative, similarity, -torch.inf).unsqueeze(1)
        ahead = self._step(others - own).sum(2)
        precision = among_positives / (among_positives + ahead).clamp(min=1)
        return torch.where(columns >= 0, precision, 0).sum(1)

    def _step(self, excess: Tensor) -> Tensor:
        """H: 0 at −∞."""
        curved = (excess.clamp(max=self.linear_from) / self.temperature).sigmoid()
        jump = (excess > 0).to(excess.dtype) / 2
        return curved + jump + self.slope * (excess - self.linear_from).relu()
