"""A boundary between near and far that is learned, with a margin on both sides."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from ranklight.kernels.checks import check_counts, check_finite, check_not_negative
from ranklight.kernels.distances import distances
from ranklight.kernels.masked import at_least_float32, mean_over_ranks
from ranklight.kernels.packing import true_columns
from ranklight.kernels.pull_push import hinge_pull_push
from ranklight.pairs.checks import check_classes
from ranklight.pairs.selection import loss_inputs, split


class MarginLoss(nn.Module):
    """Positives must be closer than a learned distance by a margin, negatives farther.

        ℓ_ij = max(0, α + D_ij − β_i) for positives (R > 0),  max(0, α − D_ij + β_i) for negatives
        L = Σ ℓ / number of pairs with ℓ > 0,    D = √(‖z_i − r‖² + ε) = √(2 − 2S + ε)

    β is one parameter or, with `num_classes`, one of each anchor's class. Of the loss's three
    matrices none says the class; it is the one loss that the objective gives the labels too
    (`wants_labels`). A selection of opponents (Int) has one positive and one negative a pair: entry
    (a, i) is j, or −1.

    Wu, Manmatha, Smola, Krähenbühl: Sampling Matters in Deep Embedding Learning, ICCV 2017,
    arXiv 1706.07567, where opponents come from `miners.DistanceWeighted`. α = 0.2 and β = 1.2, for
    unit vectors, are theirs; the released code learns β at a rate of its own. Left out: the weight
    ν on β, which is 0 there by default, and a β of each image. pytorch-metric-learning has the
    same; by default its β is fixed, and on pairs it counts each as often as it is in a triplet.

    Args:
        margin: α, in distance; larger keeps pushing pairs that are on the right side already.
        boundary: β, in distance, where it starts.
        num_classes: Classes are labelled 0..num_classes − 1, each with a β. None: one for all.
        learned: Whether β is a parameter; False leaves it where it starts.
        epsilon: ε, in squared distance; larger bounds the gradient at duplicates.

    Example:
        >>> similarity = torch.tensor([[0.68, -1.0, 0.5]])  # distances 0.8, 2 and 1
        >>> relevance = torch.tensor([[1.0, 0.0, 0.0]])
        >>> MarginLoss(learned=False)(similarity, relevance, relevance >= 0)  # 0.2 − 1 + 1.2
        tensor(0.4000)
    """

    beta: Tensor
    wants_unit_vectors = True

    def __init__(
        self,
        margin: float = 0.2,
        boundary: float = 1.2,
        num_classes: int | None = None,
        learned: bool = True,
        epsilon: float = 1e-6,
    ) -> None:
        super().__init__()
        check_finite(margin=margin, boundary=boundary)
        check_not_negative(epsilon=epsilon)
        if num_classes is not None:
            check_counts(num_classes=num_classes)
        self.margin = margin
        self.num_classes = num_classes
        self.epsilon = epsilon
        beta = torch.full((num_classes or 1,), float(boundary))
        if learned:
            self.beta = nn.Parameter(beta)
        else:
            self.register_buffer("beta", beta)

    @property
    def wants_labels(self) -> bool:
        """Whether the objective must give the anchors' classes."""
        return self.num_classes is not None

    def forward(
        self,
        similarity: Float[Tensor, "n m"],
        relevance: Float[Tensor, "n m"],
        selection: Bool[Tensor, "n m"] | Int[Tensor, "n m"],
        labels: Shaped[Tensor, "n ..."] | None = None,
    ) -> Float[Tensor, ""]:
        """Loss of pairs, or of chosen triplets.

        Args:
            similarity: S.
            relevance: R.
            selection: Pairs (Bool) or opponents (int64).
            labels: Classes of the anchors, where each has its own β.

        Raises:
            TypeError: S or R are not floats, the selection neither of pairs (Bool) nor of opponents
                (int64), or labels are no integers.
            ValueError: The three are not of one shape and on one device; labels are missing or not
                one class an anchor; or, on the CPU, an opponent is no column or a label no class.
        """
        boundary = self._boundary(len(similarity), labels)
        similarity, relevance, selection = loss_inputs(
            similarity, relevance, selection, opponents=True
        )
        if selection.dtype != torch.bool:
            total, active = self._of_opponents(similarity, selection, boundary)
        else:
            total, active = self._of_pairs(similarity, relevance, selection, boundary)
        return mean_over_ranks(total, active)

    def _boundary(self, anchors: int, labels: Tensor | None) -> Tensor:
        """β of each anchor, [n, 1] or [1]."""
        beta = at_least_float32(self.beta)
        if self.num_classes is None:
            return beta
        if labels is None:
            raise ValueError(
                f"MarginLoss(num_classes={self.num_classes}) needs the labels of the anchors"
            )
        check_classes(labels, self.num_classes, "MarginLoss")
        if len(labels) != anchors:
            raise ValueError(f"{anchors} anchors need as many labels, got {len(labels)}")
        return beta[labels.long()].unsqueeze(1) if anchors else beta[:1]

    def _of_pairs(
        self, similarity: Tensor, relevance: Tensor, selection: Tensor, boundary: Tensor
    ) -> tuple[Tensor, Tensor]:
        positive, negative = split(relevance, selection)
        inside = boundary - distances(similarity, selection, self.epsilon)
        pull, push = hinge_pull_push(
            inside,
            positive,
            negative,
            positive_margin=self.margin,
            negative_margin=-self.margin,
        )
        costs = (positive & (inside < self.margin)) | (negative & (inside > -self.margin))
        return pull.sum() + push.sum(), costs.count_nonzero()

    def _of_opponents(
        self, similarity: Tensor, opponents: Tensor, boundary: Tensor
    ) -> tuple[Tensor, Tensor]:
        column = true_columns(opponents >= 0)
        chosen, column = column >= 0, column.clamp(min=0)
        opponent = opponents.gather(1, column).clamp(min=0)
        near, far = (
            boundary - distances(similarity.gather(1, one), chosen, self.epsilon)
            for one in (column, opponent)
        )
        pull = torch.where(chosen, F.relu(self.margin - near), 0)
        push = torch.where(chosen, F.relu(self.margin + far), 0)
        return pull.sum() + push.sum(), pull.count_nonzero() + push.count_nonzero()
