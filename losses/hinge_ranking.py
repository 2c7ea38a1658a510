"""All labels that apply, a margin above all that do not."""

from typing import Literal

from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_choice, check_finite
from ranklight.kernels.triplet_hinge import pair_hinge
from ranklight.pairs.selection import loss_inputs, split

Average = Literal["anchors", "pairs"]


class HingeRankingLoss(nn.Module):
    """Every label that applies must score a margin above every label that doesn't.

        ℓ_i = Σ_{v ∈ P_i} Σ_{u ∈ N_i} max(0, m + S_iu − S_iv)

        average="anchors":  1/n Σ_i ℓ_i: its scale grows with the number of pairs
        average="pairs":    1/n Σ_i ℓ_i / (|P_i| |N_i|)

    A row without positives or without negatives has no pair: value 0, gradient 0.

    The comparator of Li, Song, Luo: Improving Pairwise Ranking for Multi-label Image
    Classification, CVPR 2017, arXiv 1704.03135, after Weston, Bengio, Usunier (WSABIE, IJCAI 2011).
    As in the released code, m = 1 and pairs are summed; that code draws at most 1000 pairs an
    image, here all count, exactly and in O(m log m). `torch.nn.MultiLabelMarginLoss` divides by the
    number of labels.

    Args:
        margin: m; larger keeps more pairs active.
        average: What the sum is divided by, see above.

    Example:
        >>> import torch
        >>> similarity, relevance = torch.tensor([[1.0, 0.5]]), torch.tensor([[1.0, 0.0]])
        >>> HingeRankingLoss()(similarity, relevance, relevance >= 0)  # 1 + 0.5 − 1
        tensor(0.5000)
    """

    def __init__(self, margin: float = 1.0, average: Average = "anchors") -> None:
        super().__init__()
        check_finite(margin=margin)
        self.margin = margin
        check_choice(Average, average=average)
        self.average = average

    def forward(
        self,
        similarity: Float[Tensor, "n m"],
        relevance: Float[Tensor, "n m"],
        selection: Bool[Tensor, "n m"],
    ) -> Float[Tensor, ""]:
        """Loss of a selection of labels.

        Raises:
            TypeError: S or R are not floats, or the selection is not of pairs (Bool).
            ValueError: The three are not of one shape and on one device.
        """
        similarity, relevance, selection = loss_inputs(similarity, relevance, selection)
        positive, negative = split(relevance, selection)
        cost = pair_hinge(similarity, positive, negative, margin=self.margin)
        if self.average == "pairs":
            cost = cost / (positive.sum(1) * negative.sum(1)).clamp(min=1)
        return cost.mean()
