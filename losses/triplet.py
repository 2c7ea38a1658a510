"""Triplets: the better of two references must be closer, by a margin."""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ranklight.kernels.checks import check_choice, check_finite
from ranklight.kernels.masked import mean_over_ranks
from ranklight.kernels.orders import count_below
from ranklight.kernels.packing import true_columns
from ranklight.kernels.rowwise import in_row_blocks
from ranklight.kernels.triplet_hinge import triplet_hinge
from ranklight.pairs.selection import loss_inputs

Average = Literal["active", "all", "pairs"]


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

    Embeddings may have any length; the margins of the papers are for unit vectors.

    Args:
        margin: m, in squared distance; larger keeps pushing triplets that are in order already.
        average: What the sum is divided by, see above.
        soft_margin: The smooth loss, which pushes every triplet a little.

    Example:
        >>> similarity = torch.tensor([[0.5, 0.75, 0.0]])  # squared distances 1, 0.5 and 2
        >>> relevance, selection = torch.tensor([[1.0, 0.0, 0.0]]), torch.ones(1, 3).bool()
        >>> TripletLoss(margin=0.25)(similarity, relevance, selection)  # 1 − 0.5 + 0.25
        tensor(0.7500)
    """

    def __init__(
        self,
        margin: float = 0.2,
        average: Average = "active",
        soft_margin: bool = False,
    ) -> None:
        super().__init__()
        check_finite(margin=margin)
        self.margin = margin
        check_choice(Average, average=average)
        self.average = average
        self.soft_margin = soft_margin

    def forward(
        self,
        similarity: Float[Tensor, "n m"],
        relevance: Float[Tensor, "n m"],
        selection: Bool[Tensor, "n m"] | Int[Tensor, "n m"],
    ) -> Float[Tensor, ""]:
        """Loss of all triplets among pairs, or of chosen ones.

        Raises:
            TypeError: S or R are not floats, or the selection neither of pairs (Bool) nor of
                opponents (int64).
            ValueError: The three are not of one shape and on one device; or, on the CPU, an
                opponent is no column.
        """
        similarity, relevance, selection = loss_inputs(
            similarity, relevance, selection, opponents=True
        )
        if selection.dtype != torch.bool:
            total, active, triplets = self._of_opponents(similarity, selection)
            pairs = triplets
        elif self.soft_margin:
            total, triplets, pairs = _softplus_of_all(similarity, relevance, selection)
            active = triplets
        else:
            # max(0, 2 S_aj − 2 S_ai + m) = 2 max(0, S_aj − S_ai + m / 2)
            total, active, triplets, pairs = triplet_hinge(
                similarity, relevance, selection, gap=self.margin / 2
            )
            total = 2 * total
        number = {"active": active, "all": triplets, "pairs": pairs}[self.average]
        return mean_over_ranks(total.sum(), number.sum())

    def _of_opponents(self, similarity: Tensor, opponents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        column = true_columns(opponents >= 0)
        chosen, column = column >= 0, column.clamp(min=0)
        opponent = opponents.gather(1, column).clamp(min=0)
        excess = 2 * (similarity.gather(1, opponent) - similarity.gather(1, column))
        excess = torch.where(chosen, excess, 0)
        cost = F.softplus(excess) if self.soft_margin else F.relu(excess + self.margin)
        cost = torch.where(chosen, cost, 0)
        return cost, cost > 0, chosen


def _softplus_of_all(
    similarity: Tensor, relevance: Tensor, selection: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    lower = count_below(relevance, selection)
    better = true_columns(lower > 0)
    cost = in_row_blocks(_softplus, similarity, relevance, selection, terms=better)
    return cost, lower, lower > 0


def _softplus(similarity: Tensor, relevance: Tensor, selection: Tensor, better: Tensor) -> Tensor:
    """Of each anchor the triplets whose better reference is one of these columns (−1: none)."""
    column = better.clamp(min=0)
    excess = 2 * (similarity.unsqueeze(1) - similarity.gather(1, column).unsqueeze(2))
    triplet = relevance.gather(1, column).unsqueeze(2) > relevance.unsqueeze(1)
    triplet &= selection.unsqueeze(1) & (better >= 0).unsqueeze(2)
    return F.softplus(torch.where(triplet, excess, -torch.inf)).sum((1, 2))
