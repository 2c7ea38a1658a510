"""Ratios of distances between embeddings, like those between labels."""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_not_negative
from ranklight.kernels.log_ratios import squared_log_ratios
from ranklight.kernels.masked import mean_over_ranks
from ranklight.pairs.selection import loss_inputs


class LogRatioLoss(nn.Module):
    """Ratios of embedding distances must equal the ratios of label distances.

        L = mean over (a, i, j) of [ log(D_ai / D_aj) − log(Y_ai / Y_aj) ]²
        D = √(‖z_a − r‖² + ε) = √(2 − 2S + ε),    Y = 1 − R + ε_y

    over all unordered pairs i, j of selected references of a, in O(m) a row. Without ties the
    triplets with R_ai = R_aj are left out, of which the loss would ask D_ai = D_aj.

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

    Example:
        >>> import torch
        >>> similarity = torch.tensor([[0.5, -1.0]])  # distances 1 and 2
        >>> relevance = torch.tensor([[0.0, 0.0]])  # label distances 1 and 1
        >>> LogRatioLoss()(similarity, relevance, relevance >= 0)  # (log 2 − log 1)²
        tensor(0.4805)
    """

    def __init__(
        self, keep_ties: bool = True, epsilon: float = 1e-6, label_epsilon: float = 1e-6
    ) -> None:
        super().__init__()
        check_not_negative(epsilon=epsilon, label_epsilon=label_epsilon)
        self.keep_ties = keep_ties
        self.epsilon = epsilon
        self.label_epsilon = label_epsilon

    def forward(
        self,
        similarity: Float[Tensor, "n m"],
        relevance: Float[Tensor, "n m"],
        selection: Bool[Tensor, "n m"],
    ) -> Float[Tensor, ""]:
        """Loss of all triplets among a selection of pairs.

        Raises:
            TypeError: S or R are not floats, or the selection is not of pairs (Bool).
            ValueError: The three are not of one shape and on one device.
        """
        similarity, relevance, selection = loss_inputs(similarity, relevance, selection)
        total, triplets = squared_log_ratios(
            similarity,
            relevance,
            selection,
            keep_ties=self.keep_ties,
            epsilon=self.epsilon,
            label_epsilon=self.label_epsilon,
        )
        return mean_over_ranks(total.sum(), triplets.sum())
