"""Similar embeddings in the order of similar labels."""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_positive
from ranklight.kernels.masked import masked_mean
from ranklight.kernels.rank_differences import squared_rank_differences
from ranklight.pairs.selection import loss_inputs


class RankSimLoss(nn.Module):
    """Each row of S should rank its references as the row of R does.

        L = mean over a of  1/m_a Σ_j ((rk_j(S_a) − rk_j(R_a)) / m_a)²

    over the m_a selected references of a; rk is the rank in the row, 1 the largest, and equal ones
    share the mean of their ranks. Ranks have no derivative: the gradient is that of a black-box
    solver, from a second ranking of S after a step of λ. O(m log m) a row. S of vectors of any
    length; λ is for similarities of unit vectors.

    Gong, Mori, Tung: RankSim: Ranking Similarity Regularization for Deep Imbalanced Regression,
    ICML 2022, arXiv 2205.15236. A regulariser: the paper adds γ = 100 times this to an L1
    regression, `pairs.WeightedSum` of `pairs.Regression` and this. Its λ = 2 acts on γ times the
    cost, here on the cost, which is λ = 200 and the same gradient. The released code sums over the
    anchors where this averages; keeps one image a label, drawn at random, where here all count and
    ties share their rank; and has the image itself in its own ranking, first on both sides.

    Of the two regularisers of its kind this one is of S and R alone. ConR (Keramati, Meng, Evans,
    ICLR 2024) also needs a regressor's predictions, to call negative what is predicted alike.

    Args:
        interpolation: λ; larger takes the second ranking farther away: a smoother gradient, of more
            references, that is farther from the cost.

    Example:
        >>> import torch
        >>> similarity, relevance = torch.tensor([[0.5, 0.75]]), torch.tensor([[0.0, -3.0]])
        >>> RankSimLoss()(similarity, relevance, relevance <= 0)  # two that changed places: (½)²
        tensor(0.2500)
    """

    wants_unit_vectors = True

    def __init__(self, interpolation: float = 200.0) -> None:
        super().__init__()
        check_positive(interpolation=interpolation)
        self.interpolation = interpolation

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
        cost = squared_rank_differences(
            similarity, relevance, selection, interpolation=self.interpolation
        )
        return masked_mean(cost, selection.any(1))
