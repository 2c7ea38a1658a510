"""ArcFace with several centers a class, of which the closest counts."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_counts, check_finite, check_positive
from ranklight.kernels.cross_entropy import Logits
from ranklight.kernels.margins import check_angle, with_wider_angles
from ranklight.kernels.masked import where_selected
from ranklight.pairs.cross_entropy import cross_entropy
from ranklight.pairs.selection import any_of_class, loss_inputs_of_classes, positive_pairs


class SubCenterArcFaceLoss(nn.Module):
    """ArcFace on the closest of each class's centers, so that noise finds a center of its own.

        C_ic = max { S_ij : j a selected center of class c }
        L    = mean over i of  −log( e^{s φ(C_iy)} / (e^{s φ(C_iy)} + Σ_{c ≠ y} e^{s C_ic}) )

        φ(cos θ) = cos(θ + m);  where θ + m > π, cos θ − m sin m

    The references are `ClassCenters(centers_per_class=K)`, so K neighbouring columns of S are one
    class, that of the first; y is the class that is relevant (R > 0), and anchors without one are
    left out. s and m are for unit vectors.

    Deng, Guo, Liu, Gong, Zafeiriou: Sub-center ArcFace: Boosting Face Recognition by Large-Scale
    Noisy Web Faces, ECCV 2020; defaults are theirs. Same as pytorch-metric-learning, whose margin
    is in degrees; beyond that as `ArcFaceLoss`. Dropping the images that are far from their class's
    main center, and training again, is not here.

    Args:
        centers_per_class: K; more leave more room for noise, and for classes that are not one.
        margin: m, in radians, 0..π/2; larger asks the own class to be closer.
        scale: s, the inverse of a temperature; larger looks at the closest other centers only.

    Raises:
        ValueError: K is below 1, or the margin below 0 or above π/2.

    Example:
        >>> similarity = torch.tensor([[-1.0, 0.5, -0.5, -1.0]])
        >>> relevance = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
        >>> loss = SubCenterArcFaceLoss(centers_per_class=2, margin=torch.pi / 3)
        >>> loss(similarity, relevance, relevance >= 0)  # cos(60° + 60°) against −0.5: −log ½
        tensor(0.6931)
    """

    wants_unit_vectors = True

    def __init__(
        self, centers_per_class: int = 3, margin: float = 0.5, scale: float = 64.0
    ) -> None:
        super().__init__()
        check_finite(margin=margin)
        check_positive(scale=scale)
        check_counts(centers_per_class=centers_per_class)
        self.centers_per_class = centers_per_class
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
            ValueError: The three are not of one shape and on one device, or m is no multiple of K.
        """
        return cross_entropy(self.logits, similarity, relevance, selection)

    def logits(
        self,
        similarity: Float[Tensor, "n m"],
        relevance: Float[Tensor, "n m"],
        selection: Bool[Tensor, "n m"],
    ) -> Logits:
        """What the softmax is taken of, a column a class, which depends on its centers alone."""
        similarity, relevance, selection = loss_inputs_of_classes(
            similarity, relevance, selection, self.centers_per_class
        )
        similarity = where_selected(similarity, selection, -torch.inf)
        closest = similarity.max(2).values
        positive = any_of_class(positive_pairs(relevance, selection))
        cosine = with_wider_angles(closest, positive, self.margin)
        return Logits(self.scale * cosine, positive, any_of_class(selection))
