"""A Gaussian around each class center, against all other centers."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_finite
from ranklight.kernels.distributed import all_reduce_sum
from ranklight.kernels.masked import log_sum_exp, masked_mean
from ranklight.pairs.selection import loss_inputs, split


class MagnetLoss(nn.Module):
    """The closest center of an anchor's class must outweigh the centers of all others.

        L  = mean over i of max(0, α + D_i / 2σ² + log Σ_{j ∈ N_i} e^{−D_ij / 2σ²})
        D_ij = ‖z_i − c_j‖² = 2 − 2 S_ij,   D_i = min { D_ij : j ∈ P_i },   σ² = Σ_i D_i / (N − 1)

    The references are `ClassCenters`, usually with several centers a class. N counts the anchors
    that have centers of both kinds; the others are left out.

    Rippel, Paluri, Dollár, Bourdev: Metric Learning with Adaptive Density Discrimination, ICLR
    2016, arXiv 1511.05939; the two-head regularizer names it as a baseline. There the centers are
    k-means clusters of each class, computed anew between epochs and as means within batches of
    whole clusters; here they are learned or moved by `ClassCenters`. σ² is the batch's, over all
    ranks, and has gradient.

    Args:
        alpha: α, the gap in log odds; larger keeps pushing anchors that are right already.

    Example:
        >>> similarity, relevance = torch.tensor([[0.5, 0.5]]), torch.tensor([[1.0, 0.0]])
        >>> MagnetLoss()(similarity, relevance, relevance >= 0)  # as close as the other: α
        tensor(1.)
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        check_finite(alpha=alpha)
        self.alpha = alpha

    def forward(
        self,
        similarity: Float[Tensor, "n m"],
        relevance: Float[Tensor, "n m"],
        selection: Bool[Tensor, "n m"],
    ) -> Float[Tensor, ""]:
        """Loss of the selected centers.

        Raises:
            TypeError: S or R are not floats, or the selection is not of pairs (Bool).
            ValueError: The three are not of one shape and on one device.
        """
        similarity, relevance, selection = loss_inputs(similarity, relevance, selection)
        positive, negative = split(relevance, selection)
        squared = 2 - 2 * torch.where(selection, similarity, 0)
        has_both = positive.any(1) & negative.any(1)
        own = torch.where(positive, squared, torch.inf).amin(1)
        own = torch.where(has_both, own, 0)
        anchors = all_reduce_sum(has_both.sum().to(own.dtype))
        variance = all_reduce_sum(own.sum()) / (anchors - 1).clamp(min=1)
        scale = 0.5 / variance.clamp(min=1e-12)
        others = log_sum_exp(-scale * squared, negative)
        cost = F.relu(self.alpha + scale * own + torch.where(has_both, others, 0))
        return masked_mean(cost, has_both)
