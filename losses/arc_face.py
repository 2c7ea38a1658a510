"""A softmax over cosines in which the angle to the own class is made wider by a margin."""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_finite, check_positive
from ranklight.kernels.cross_entropy import Logits
from ranklight.kernels.margins import check_angle, with_wider_angles
from ranklight.pairs.cross_entropy import cross_entropy
from ranklight.pairs.selection import loss_inputs, positive_pairs


class ArcFaceLoss(nn.Module):
    """The angle to the center of an anchor's class must be smaller than the others by a margin.

        L = mean over i of  −log( e^{s φ(S_iy)} / (e^{s φ(S_iy)} + Σ_{j ∈ N_i} e^{s S_ij}) )

        φ(cos θ) = cos(θ + m);  where θ + m > π, cos θ − m sin m

    y is the selected center of i's class (R > 0), N_i are the selected others. The references are
    `ClassCenters`; where several are positive all have the margin and the mean over y is taken, and
    anchors without one are left out. s and m are for unit vectors.

    Deng, Guo, Xue, Zafeiriou: ArcFace: Additive Angular Margin Loss for Deep Face Recognition, CVPR
    2019, arXiv 1801.07698; defaults are theirs. The paper's cos(θ + m) rises again beyond π; the
    line that falls on is insightface's and pytorch-metric-learning's, which has its margin in
    degrees (28.6° is 0.4992). insightface's easy_margin, no margin from 90° on, is off there and
    not here. cos(θ + m) is taken without an arc cosine, and its derivative is finite at cosines of
    1 as well, where the two rely on the derivative of a clamp.

    Args:
        margin: m, in radians, 0..π/2; larger asks the own class to be closer.
        scale: s, the inverse of a temperature; larger looks at the closest other centers only.

    Raises:
        ValueError: The margin is below 0 or above π/2.

    Example:
        >>> import torch
        >>> similarity, relevance = torch.tensor([[0.5, -0.5]]), torch.tensor([[1.0, 0.0]])
        >>> loss = ArcFaceLoss(margin=torch.pi / 3)
        >>> loss(similarity, relevance, relevance >= 0)  # cos(60° + 60°) = −0.5: −log ½
        tensor(0.6931)
    """

    wants_unit_vectors = True

    def __init__(self, margin: float = 0.5, scale: float = 64.0) -> None:
        super().__init__()
        check_finite(margin=margin)
        check_positive(scale=scale)
        self.margin = check_angle(margin)
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
        cosine = with_wider_angles(similarity, positive, self.margin)
        return Logits(self.scale * cosine, positive, selection)
