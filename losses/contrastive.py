"""The contrastive loss."""

from typing import Literal

from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.masked import at_least_float32, mean_over_ranks, split
from ranklight.kernels.rowwise import count_true, masked_where, pull_and_push


class ContrastiveLoss(nn.Module):
    """Pulls positives above one similarity and pushes negatives below another.

        ℓ_ij = max(0, m⁺ − S_ij) for positives (R > 0),  max(0, S_ij − m⁻) for negatives

        average="pairs":    mean of ℓ over the positives + mean of ℓ over the negatives
        average="anchors":  1/n Σ_ij ℓ_ij, the memory paper's form: its scale grows with the
                            number of references

    Hadsell, Chopra, LeCun, CVPR 2006, on similarities. Defaults m⁺ = 1, m⁻ = 0.5 are those of the
    released code of cross-batch memory (Wang, Zhang, Huang, Scott, CVPR 2020, arXiv 1912.06798).
    That code adds S_ij and not S_ij − m⁻ for a negative above the margin: its value is larger by m⁻
    for each, its gradient is the same. pytorch-metric-learning divides by default by the pairs with
    a loss above 0 alone; with its MeanReducer it computes average="pairs".

    Args:
        positive_margin: m⁺; positives at least this similar cost nothing.
        negative_margin: m⁻; negatives at most this similar cost nothing.
        average: What the sum is divided by, see above.
    """

    def __init__(
        self,
        positive_margin: float = 1.0,
        negative_margin: float = 0.5,
        average: Literal["pairs", "anchors"] = "pairs",
    ) -> None:
        super().__init__()
        self.positive_margin = positive_margin
        self.negative_margin = negative_margin
        self.average = average

    def forward(
        self,
        similarity: Float[Tensor, "n m"],
        relevance: Float[Tensor, "n m"],
        selection: Bool[Tensor, "n m"],
    ) -> Float[Tensor, ""]:
        """Loss of a selection of pairs."""
        similarity = at_least_float32(similarity)
        pull, push, pulled, pushed = pull_and_push(self._costs, similarity, relevance, selection)
        if self.average == "anchors":
            return (pull + push).mean()
        pull_mean = mean_over_ranks(pull.sum(), pulled.sum())
        return pull_mean + mean_over_ranks(push.sum(), pushed.sum())

    def _costs(
        self, similarity: Tensor, relevance: Tensor, selection: Tensor
    ) -> tuple[Tensor, ...]:
        positive, negative = split(relevance, selection)
        pull = masked_where((self.positive_margin - similarity).relu_(), positive)
        push = masked_where((similarity - self.negative_margin).relu_(), negative)
        found = push.sum(1), count_true(positive), count_true(negative)
        return pull.sum(1), push.sub_(pull).sign_(), *found
