"""Each pair weighted against the other pairs of its anchor."""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_finite, check_positive
from ranklight.kernels.pull_push import log_sum_exp_pull_push
from ranklight.pairs.selection import loss_inputs, split


class MultiSimilarityLoss(nn.Module):
    """Pulls a row's positives up and its negatives down, each weighted against all the others.

        L = 1/n Σ_i [ 1/α log(1 + Σ_{j ∈ P_i} e^{−α (S_ij − λ)})
                    + 1/β log(1 + Σ_{j ∈ N_i} e^{ β (S_ij − λ)}) ]

    P_i and N_i are the selected positives (R > 0) and negatives of anchor i. α, β and λ are for
    similarities of unit vectors: of longer ones the loss grows with the square of their length.

    Wang, Han, Huang, Dong, Scott: Multi-Similarity Loss with General Pair Weighting for Deep Metric
    Learning, CVPR 2019, arXiv 1904.06627. Defaults are the released code's; the paper prints β = 50
    and λ = 1, and pytorch-metric-learning has β = 50. The mean is over all n anchors, those without
    pairs too, as in both. A pair of an image with itself is left out by the mask and not, as in the
    released code, by a similarity above 1 − 1e-5, so exact duplicates count.

    Args:
        alpha: α, sharpness among positives; larger looks at the hardest one only.
        beta: β, sharpness among negatives.
        base: λ, the similarity above which a pair counts as similar.

    Example:
        >>> import torch
        >>> similarity, relevance = torch.tensor([[0.5, -1.0]]), torch.tensor([[1.0, 0.0]])
        >>> MultiSimilarityLoss()(similarity, relevance, relevance >= 0)  # ½ log(1 + e^0)
        tensor(0.3466)
    """

    wants_unit_vectors = True

    def __init__(self, alpha: float = 2.0, beta: float = 40.0, base: float = 0.5) -> None:
        super().__init__()
        check_positive(alpha=alpha, beta=beta)
        check_finite(base=base)
        self.alpha = alpha
        self.beta = beta
        self.base = base

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
        pull, push = log_sum_exp_pull_push(
            similarity,
            positive,
            negative,
            alpha=self.alpha,
            beta=self.beta,
            base=self.base,
        )
        return (pull / self.alpha + push / self.beta).mean()
