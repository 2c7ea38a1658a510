"""The triplet loss."""

from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ranklight.kernels.masked import at_least_float32, mean_over_ranks
from ranklight.kernels.packing import true_columns
from ranklight.kernels.rowwise import in_row_blocks
from ranklight.kernels.triplet_counts import triplet_hinge, triplet_softplus


class TripletLoss(nn.Module):
    """A more relevant reference must be closer than a less relevant one, by a margin.

        ℓ_aij = max(0, D_ai − D_aj + m)      for R_ai > R_aj,  D = ‖z − r‖² = 2 − 2S
        ℓ_aij = log(1 + e^{D_ai − D_aj})     with soft_margin, which has no m

        average="active":  Σ ℓ / number of triplets with ℓ > 0
        average="all":     Σ ℓ / number of triplets
        average="pairs":   Σ ℓ / number of pairs (a, i) that are the better one of a triplet

    A selection of pairs (Bool) means all triplets among them: they are counted by sorting, in n·m
    memory (soft_margin has no such form: it visits each triplet, in blocks of anchors). A selection
    of opponents (Int) has one triplet a pair: entry (a, i) is j, or −1.

    Schroff, Kalenichenko, Philbin: FaceNet, CVPR 2015, arXiv 1503.03832. m = 0.2 is theirs and that
    of the two-head regularizer's released code (Taha et al., WACV 2020, arXiv 1901.08616), which is
    average="pairs" on opponents from `SemiHard`, or from `Hardest`, where soft_margin (Hermans,
    Beyer, Leibe, arXiv 1703.07737) is an option. With graded R it is the hinge of deep ranking
    (Wang et al., CVPR 2014, arXiv 1404.4661; gap g = m). pytorch-metric-learning computes
    average="active", with margin 0.05 on distances that are not squared by default.

    Args:
        margin: m, in squared distance; larger keeps pushing triplets that are in order already.
        average: What the sum is divided by, see above.
        soft_margin: The smooth loss, which pushes every triplet a little.
    """

    def __init__(
        self,
        margin: float = 0.2,
        average: Literal["active", "all", "pairs"] = "active",
        soft_margin: bool = False,
    ) -> None:
        super().__init__()
        self.margin = margin
        self.average = average
        self.soft_margin = soft_margin

    def forward(
        self,
        similarity: Float[Tensor, "n m"],
        relevance: Float[Tensor, "n m"],
        selection: Bool[Tensor, "n m"] | Int[Tensor, "n m"],
    ) -> Float[Tensor, ""]:
        """Loss of all triplets among pairs, or of chosen ones."""
        similarity = at_least_float32(similarity)
        if selection.dtype != torch.bool:
            total, number = in_row_blocks(self._of_opponents, similarity, selection)
            return mean_over_ranks(total.sum(), number.sum())
        total, active, triplets, pairs = self._of_all(similarity, relevance, selection)
        number = {"active": active, "all": triplets, "pairs": pairs}[self.average]
        return mean_over_ranks(total.sum(), number.sum())

    def _of_all(
        self, similarity: Tensor, relevance: Tensor, selection: Tensor
    ) -> tuple[Tensor, ...]:
        if not self.soft_margin:
            hinge = partial(triplet_hinge, margin=self.margin)
            return in_row_blocks(hinge, similarity, relevance, selection)
        lowest = torch.where(selection, relevance, torch.inf).amin(1, keepdim=True)
        better = true_columns(selection & (relevance > lowest))
        total, triplets, pairs = in_row_blocks(
            triplet_softplus,
            *(similarity, relevance, selection, better),
            elements_per_row=better.shape[1] * similarity.shape[1],
        )
        return total, triplets, triplets, pairs

    def _of_opponents(self, similarity: Tensor, opponents: Tensor) -> tuple[Tensor, ...]:
        column = true_columns(opponents >= 0)
        chosen, column = column >= 0, column.clamp(min=0)
        opponent = opponents.gather(1, column).long().clamp(min=0)
        excess = 2 * (similarity.gather(1, opponent) - similarity.gather(1, column))
        if self.soft_margin:
            cost, slope = F.softplus(excess), 2 * excess.sigmoid()
        else:
            cost = F.relu(excess + self.margin)
            slope = 2 * (cost > 0).to(cost.dtype)
        cost, slope = torch.where(chosen, cost, 0), torch.where(chosen, slope, 0)
        number = cost > 0 if self.average == "active" else chosen
        derivative = torch.zeros_like(similarity).scatter_add(1, column, -slope)
        return cost.sum(1), derivative.scatter_add_(1, opponent, slope), number.sum(1)
