"""The own class center against the closest other one."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_finite
from ranklight.kernels.masked import masked_mean
from ranklight.pairs.selection import loss_inputs, split


class TripletCenterLoss(nn.Module):
    """The center of an anchor's class must be closer than that of any other, by a margin.

        L = mean over i of max(0, m + ½ ‖z_i − c_{y_i}‖² − min_{j ∉ y_i} ½ ‖z_i − c_j‖²)
          = mean over i of max(0, m + max { S_ij : j ∈ N_i } − max { S_ij : j ∈ P_i })

    The references are `ClassCenters`; anchors that lack either kind are left out of the mean.

    He, Zhou, Zhou, Bai, Bai: Triplet-Center Loss for Multi-View 3D Object Retrieval, CVPR 2018,
    arXiv 1803.06189, which sums over anchors. m = 5 is theirs, for embeddings that are not
    normalised: on a sphere the two terms differ by 2 at most.

    Args:
        margin: m, in half squared distance; larger keeps pushing anchors that are right already.

    Example:
        >>> similarity, relevance = torch.tensor([[0.5, 0.5]]), torch.tensor([[1.0, 0.0]])
        >>> TripletCenterLoss()(similarity, relevance, relevance >= 0)  # as close as the other: m
        tensor(5.)
    """

    def __init__(self, margin: float = 5.0) -> None:
        super().__init__()
        check_finite(margin=margin)
        self.margin = margin

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
        own = torch.where(positive, similarity, -torch.inf).amax(1)
        other = torch.where(negative, similarity, -torch.inf).amax(1)
        has_both = positive.any(1) & negative.any(1)
        excess = torch.where(has_both, other, 0) - torch.where(has_both, own, 0)
        return masked_mean(F.relu(self.margin + excess), has_both)
