"""Two margins: positives above one similarity, negatives below another."""

from typing import Literal

from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_choice, check_finite
from ranklight.kernels.masked import mean_over_ranks
from ranklight.kernels.pull_push import hinge_pull_push
from ranklight.pairs.selection import loss_inputs, split

Average = Literal["pairs", "anchors"]


class ContrastiveLoss(nn.Module):
    """Pulls positives above one similarity and pushes negatives below another.

        ℓ_ij = max(0, m⁺ − S_ij) for positives (R > 0),  max(0, S_ij − m⁻) for negatives

        average="pairs":    mean of ℓ over the positives + mean of ℓ over the negatives
        average="anchors":  1/n Σ_ij ℓ_ij, the memory paper's form: its scale grows with the
                            number of references

    Hadsell, Chopra, LeCun, CVPR 2006, on similarities: the margins are for unit vectors. Defaults
    m⁺ = 1, m⁻ = 0.5 are those of the released code of cross-batch memory (Wang, Zhang, Huang,
    Scott, CVPR 2020, arXiv 1912.06798). That code adds S_ij and not S_ij − m⁻ for a negative above
    the margin: its value is larger by m⁻ for each, its gradient is the same.
    pytorch-metric-learning has margins on distances and divides by the pairs with a loss above 0
    alone; with CosineSimilarity, margins 1 and 0.5 and MeanReducer it computes average="pairs".

    Args:
        positive_margin: m⁺; positives at least this similar cost nothing.
        negative_margin: m⁻; negatives at most this similar cost nothing.
        average: What the sum is divided by, see above.

    Example:
        >>> import torch
        >>> similarity, relevance = torch.tensor([[0.75, 0.75]]), torch.tensor([[1.0, 0.0]])
        >>> ContrastiveLoss()(similarity, relevance, relevance >= 0)  # (1 − 0.75) + (0.75 − 0.5)
        tensor(0.5000)
    """

    wants_unit_vectors = True

    def __init__(
        self,
        positive_margin: float = 1.0,
        negative_margin: float = 0.5,
        average: Average = "pairs",
    ) -> None:
        super().__init__()
        check_finite(positive_margin=positive_margin, negative_margin=negative_margin)
        self.positive_margin = positive_margin
        self.negative_margin = negative_margin
        check_choice(Average, average=average)
        self.average = average

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
        pull, push = hinge_pull_push(
            similarity,
            positive,
            negative,
            positive_margin=self.positive_margin,
            negative_margin=self.negative_margin,
        )
        if self.average == "anchors":
            return (pull + push).mean()
        positives, negatives = positive.count_nonzero(), negative.count_nonzero()
        return mean_over_ranks(pull.sum(), positives) + mean_over_ranks(push.sum(), negatives)
