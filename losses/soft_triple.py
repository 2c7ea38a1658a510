"""Several centers a class, each weighted by how close it is."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_counts, check_finite, check_positive
from ranklight.kernels.cross_entropy import Logits
from ranklight.kernels.masked import changed_where, everywhere, where_selected
from ranklight.pairs.cross_entropy import cross_entropy
from ranklight.pairs.selection import any_of_class, loss_inputs_of_classes, positive_pairs


class SoftTripleLoss(nn.Module):
    """A softmax over classes of several centers, in each of which the closer centers weigh more.

        C_ic = Σ_j w_j S_ij,   w_j = e^{S_ij/γ} / Σ_k e^{S_ik/γ}     over the centers of class c
        L    = mean over i of  −log( e^{λ (C_iy − δ)} / (e^{λ (C_iy − δ)} + Σ_{c ≠ y} e^{λ C_ic}) )

    The references are `ClassCenters(centers_per_class=K)`, so K neighbouring columns of S are one
    class; y is the class that is relevant (R > 0), and anchors without one are left out. λ, γ and δ
    are for unit vectors.

    Qian, Shang, Sun, Hu, Li, Jin: SoftTriple Loss: Deep Metric Learning Without Triplet Sampling,
    ICCV 2019, arXiv 1909.05235; defaults are theirs (K = 2 on Stanford Online Products). Their
    second term, τ = 0.2 times the mean distance between centers of a class, which merges those that
    are not needed, is of the centers alone: `ClassCenters(center_merging=0.2)`. The same as the
    released code, and without the second term as pytorch-metric-learning.

    Args:
        centers_per_class: K.
        scale: λ, the inverse of a temperature; larger looks at the closest other classes only.
        gamma: γ, in similarity; smaller counts the closest center of a class alone.
        margin: δ, in similarity; larger asks the own class to be closer.

    Raises:
        ValueError: K is below 1.

    Example:
        >>> similarity = torch.tensor([[0.51, 0.51, 0.5, 0.5]])
        >>> relevance = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
        >>> loss = SoftTripleLoss(centers_per_class=2)
        >>> loss(similarity, relevance, relevance >= 0)  # 0.51 − 0.01 against 0.5: −log ½
        tensor(0.6931)
    """

    wants_unit_vectors = True

    def __init__(
        self,
        centers_per_class: int = 10,
        scale: float = 20.0,
        gamma: float = 0.1,
        margin: float = 0.01,
    ) -> None:
        super().__init__()
        check_positive(scale=scale, gamma=gamma)
        check_finite(margin=margin)
        check_counts(centers_per_class=centers_per_class)
        self.centers_per_class = centers_per_class
        self.scale = scale
        self.gamma = gamma
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
        # A class of which nothing is selected has weights of a sum over all, and is not summed.
        selected = any_of_class(selection)
        similarity = where_selected(similarity, selection, 0.0)
        exponents = similarity / self.gamma
        if not everywhere(selection):
            exponents = exponents.masked_fill(selected.unsqueeze(2) & ~selection, -torch.inf)
        pooled = (exponents.softmax(2) * similarity).sum(2)
        positive = any_of_class(positive_pairs(relevance, selection))
        lowered = changed_where(pooled, positive, lambda own: own - self.margin)
        return Logits(self.scale * lowered, positive, selected)
