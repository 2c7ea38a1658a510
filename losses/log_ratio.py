"""The log-ratio loss."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.masked import at_least_float32, masked_where, mean_over_ranks
from ranklight.kernels.orders import dense_ranks
from ranklight.kernels.rowwise import with_derivative


class LogRatioLoss(nn.Module):
    """Ratios of embedding distances must equal the ratios of label distances.

        L = mean over (a, i, j) of [ log(D_ai / D_aj) − log(Y_ai / Y_aj) ]²
        D = √(‖z_a − r‖² + ε) = √(2 − 2S + ε),    Y = 1 − R + ε_y

    over all unordered pairs i, j of selected references of a, in O(m) a row: with
    x = log D − log Y the sum of (x_i − x_j)² over n references is n Σ (x_i − mean)². Without ties
    the triplets with R_ai = R_aj are left out, of which the loss would ask D_ai = D_aj: that is
    one such sum for each set of equal R less, taken as within + between sets so that nothing
    cancels.

    Kim, Seo, Laptev, Cho, Kwak: Deep Metric Learning Beyond Binary Supervision, CVPR 2019,
    arXiv 1904.09626. Embeddings are not normalised: distances on a sphere end at 2. The paper has D
    squared, the released code not, as here; squared on both sides the loss is 4 times as large. The
    code keeps ties, the paper's text does not. The code has ε = 1e-4 / dimensions and adds another
    1e-6 inside the logarithm of D. It has one anchor a step; the mean here is over the triplets of
    all anchors.

    Args:
        keep_ties: Count triplets of equal relevance.
        epsilon: ε, in squared distance; duplicate images have the distance √ε. Larger bounds the
            gradient at close pairs, |∂x/∂S| ≤ 1/ε.
        label_epsilon: ε_y, in label distance; larger asks less of equal labels.
    """

    def __init__(
        self, keep_ties: bool = True, epsilon: float = 1e-6, label_epsilon: float = 1e-6
    ) -> None:
        super().__init__()
        self.keep_ties = keep_ties
        self.epsilon = epsilon
        self.label_epsilon = label_epsilon

    def forward(
        self,
        similarity: Float[Tensor, "n m"],
        relevance: Float[Tensor, "n m"],
        selection: Bool[Tensor, "n m"],
    ) -> Float[Tensor, ""]:
        """Loss of all triplets among a selection of pairs."""
        if selection.dtype != torch.bool:
            raise TypeError(f"LogRatioLoss takes pairs, a Bool selection; got {selection.dtype}")
        similarity, relevance = at_least_float32(similarity), at_least_float32(relevance)
        cost, triplets = with_derivative(self._costs, similarity, relevance, selection)
        return mean_over_ranks(cost.sum(), triplets.sum())

    def _costs(
        self, similarity: Tensor, relevance: Tensor, selected: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        squared = similarity.mul(-2).add_(2).clamp_(min=0).add_(self.epsilon)
        label_distance = relevance.neg().add_(1).clamp_(min=0).add_(self.label_epsilon)
        ratio = masked_where(squared.sqrt().div_(label_distance).log_(), selected)
        count = selected.sum(1)
        number = count.unsqueeze(1).to(ratio.dtype)
        excess = masked_where(ratio - ratio.sum(1, keepdim=True) / number.clamp(min=1), selected)
        if self.keep_ties:
            cost, slope = number.squeeze(1) * excess.square().sum(1), number * excess
            triplets = count * (count - 1) // 2
        else:
            ties, within = _of_ties(ratio, relevance, selected)
            tied = ties.to(ratio.dtype)
            between = number * (excess - within).square()
            cost = ((number - tied) * within.square() + between).sum(1)
            slope = number * excess - tied * within
            triplets = (count.square() - ties.sum(1)) // 2
        derivative = masked_where(slope.div_(squared).mul_(-2), selected & (similarity < 1))
        return derivative, cost, triplets


def _of_ties(ratio: Tensor, relevance: Tensor, selected: Tensor) -> tuple[Tensor, Tensor]:
    """How many of the row's references have this relevance, and the difference to their mean."""
    level = dense_ranks(relevance, selected)
    number = torch.zeros_like(level).scatter_add_(1, level, selected.long())
    total = torch.zeros_like(ratio).scatter_add_(1, level, ratio)
    mean = total.div_(number.clamp(min=1)).gather(1, level)
    return number.gather(1, level), masked_where(ratio - mean, selected)
