"""A softmax over cosines in which the own class is lowered by a margin."""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_finite, check_positive
from ranklight.kernels.cross_entropy import Logits
from ranklight.kernels.masked import changed_where
from ranklight.pairs.cross_entropy import cross_entropy
from ranklight.pairs.selection import loss_inputs, positive_pairs


class CosFaceLoss(nn.Module):
    """The cosine to the center of an anchor's class must beat the others by a margin.

        L = mean over i of  −log( e^{s (S_iy − m)} / (e^{s (S_iy − m)} + Σ_{j ∈ N_i} e^{s S_ij}) )

    y is the selected center of i's class (R > 0), N_i are the selected others. The references are
    `ClassCenters`; where several are positive all have the margin and the mean over y is taken, and
    anchors without one are left out. s and m are for unit vectors.

    Wang, Wang, Zhou, Ji, Gong, Zhou, Li, Liu: CosFace: Large Margin Cosine Loss for Deep Face
    Recognition, CVPR 2018, arXiv 1801.09414. Defaults are theirs and pytorch-metric-learning's;
    insightface's class of this name has m = 0.40.

    Args:
        margin: m, in cosine; larger asks the own class to be closer.
        scale: s, the inverse of a temperature; larger looks at the closest other centers only.

    Example:
        >>> import torch
        >>> similarity, relevance = torch.tensor([[0.85, 0.5]]), torch.tensor([[1.0, 0.0]])
        >>> CosFaceLoss()(similarity, relevance, relevance >= 0)  # 0.85 − 0.35 = 0.5: −log ½
        tensor(0.6931)
    """

    wants_unit_vectors = True

    def __init__(self, margin: float = 0.35, scale: float = 64.0) -> None:
        super().__init__()
        check_finite(margin=margin)
        check_positive(scale=scale)
        self.margin = margin
        self.scale = scale

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
        return cross_entropy(self.logits, similarity, relevance, selection)

    def logits(
        self,
        similarity: Float[Tensor, "n m"],
        relevance: Float[Tensor, "n m"],
        selection: Bool[Tensor, "n m"],
    ) -> Logits:
        """What the softmax is taken of; each column's depend on that column alone."""
        similarity, relevance, selection = loss_inputs(similarity, relevance, selection)
        positive = positive_pairs(relevance, selection)
        lowered = changed_where(similarity, positive, lambda own: own - self.margin)
        return Logits(self.scale * lowered, positive, selection)
