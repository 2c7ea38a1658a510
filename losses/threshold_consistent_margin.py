"""One threshold for all classes: what a regulariser adds to a loss of pairs."""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_finite, check_not_negative
from ranklight.kernels.masked import mean_over_ranks
from ranklight.kernels.pull_push import hinge_pull_push
from ranklight.pairs.selection import loss_inputs, split


class ThresholdConsistentMarginLoss(nn.Module):
    """Pulls the hard positives above one similarity and pushes the hard negatives below another.

        L = λ⁺ · mean of (m⁺ − S_ij) over the positives with S_ij ≤ m⁺
          + λ⁻ · mean of (S_ij − m⁻) over the negatives with S_ij ≥ m⁻

    over the selected positives (R > 0) and negatives. It is `ContrastiveLoss` with the mean over
    the pairs that cost something, so that a few hard ones are not diluted by all the easy ones; a
    regulariser, which makes the classes agree about the similarity that tells "the same" from
    "another". Added to another loss by `pairs.WeightedSum`. The margins are for unit vectors.

    Zhang et al.: Threshold-Consistent Margin Loss for Open-World Deep Metric Learning, ICLR 2024,
    arXiv 2307.04047; defaults are those of pytorch-metric-learning, which computes the same.

    Args:
        positive_margin: m⁺; positives above it cost nothing.
        negative_margin: m⁻; negatives below it cost nothing.
        positive_weight: λ⁺.
        negative_weight: λ⁻.

    Example:
        >>> import torch
        >>> similarity = torch.tensor([[0.4, 0.9, 0.75, 0.0]])
        >>> relevance = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
        >>> loss = ThresholdConsistentMarginLoss(positive_margin=0.65)
        >>> loss(similarity, relevance, relevance >= 0)  # (0.65 − 0.4) + (0.75 − 0.5)
        tensor(0.5000)
    """

    wants_unit_vectors = True

    def __init__(
        self,
        positive_margin: float = 0.9,
        negative_margin: float = 0.5,
        positive_weight: float = 1.0,
        negative_weight: float = 1.0,
    ) -> None:
        super().__init__()
        check_finite(positive_margin=positive_margin, negative_margin=negative_margin)
        check_not_negative(positive_weight=positive_weight, negative_weight=negative_weight)
        self.positive_margin = positive_margin
        self.negative_margin = negative_margin
        self.positive_weight = positive_weight
        self.negative_weight = negative_weight

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
        pulled = (positive & (similarity <= self.positive_margin)).count_nonzero()
        pushed = (negative & (similarity >= self.negative_margin)).count_nonzero()
        return self.positive_weight * mean_over_ranks(
            pull.sum(), pulled
        ) + self.negative_weight * mean_over_ranks(push.sum(), pushed)
