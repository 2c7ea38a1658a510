"""The farthest positives against the closest negatives of an anchor, smoothly."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_finite, check_not_negative
from ranklight.kernels.distances import distances
from ranklight.kernels.masked import log_sum_exp, masked_mean
from ranklight.pairs.selection import loss_inputs, split


class LiftedStructureLoss(nn.Module):
    """A smooth maximum over positives must stay below a smooth minimum over negatives.

        L = mean over a of  max(0, log Σ_{p ∈ P_a} e^{D_ap} + log Σ_{n ∈ N_a} e^{m − D_an})
        D = √(‖z_a − r‖² + ε) = √(2 − 2S + ε)

    P_a and N_a are the selected positives (R > 0) and negatives; anchors without either are left
    out of the mean. Embeddings may have any length; of unit vectors the distances end at 2.

    Oh Song, Xiang, Jegelka, Savarese: Deep Metric Learning via Lifted Structured Feature Embedding,
    CVPR 2016, arXiv 1511.06452, whose m = 1 is the default, in the form that Hermans, Beyer, Leibe:
    In Defense of the Triplet Loss, 2017, arXiv 1703.07737, generalised to all positives of an
    anchor (the first has one pair at a time, the negatives of both its ends, and squares the
    hinge). pytorch-metric-learning's GeneralizedLiftedStructureLoss has the same sums; it averages
    over all anchors, for it has anchors without negatives pay for their positives, and has no ε.

    Args:
        margin: m, in distance; larger keeps pushing rows that are in order already.
        epsilon: ε, in squared distance; larger bounds the gradient at duplicates.

    Example:
        >>> similarity, relevance = torch.tensor([[0.5, -1.0]]), torch.tensor([[1.0, 0.0]])
        >>> LiftedStructureLoss(margin=1.5)(similarity, relevance, relevance >= 0)  # 1 + 1.5 − 2
        tensor(0.5000)
    """

    def __init__(self, margin: float = 1.0, epsilon: float = 1e-6) -> None:
        super().__init__()
        check_finite(margin=margin)
        check_not_negative(epsilon=epsilon)
        self.margin = margin
        self.epsilon = epsilon

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
        distance = distances(similarity, selection, self.epsilon)
        farthest = log_sum_exp(distance, positive)
        closest = log_sum_exp(self.margin - distance, negative)
        both = farthest + closest
        return masked_mean(both.relu(), both > -torch.inf)
