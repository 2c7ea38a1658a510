"""A softmax over the cosines to class centers."""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_positive
from ranklight.kernels.cross_entropy import Logits
from ranklight.pairs.cross_entropy import cross_entropy
from ranklight.pairs.selection import loss_inputs, positive_pairs


class NormalizedSoftmaxLoss(nn.Module):
    """The class of an anchor should be the one that a softmax over its cosines to centers picks.

        L = mean over i of  −log( e^{S_iy/τ} / Σ_j e^{S_ij/τ} ),    y the center of i's class

    over the selected columns j. The references are `ClassCenters`; of several positives (R > 0) the
    mean over y is taken, and anchors without one are left out. τ is for unit vectors: as these
    centers are, the embeddings must be.

    Zhai, Wu: Classification is a Strong Baseline for Deep Metric Learning, BMVC 2019,
    arXiv 1811.12649; τ = 0.05 is theirs. Their embeddings go through a LayerNorm without parameters
    first, which is the encoder's business. Same as pytorch-metric-learning for unit vectors, which
    does not normalise embeddings in this loss either.

    Args:
        temperature: τ, in similarity; smaller looks at the closest other centers only.

    Example:
        >>> import torch
        >>> similarity, relevance = torch.tensor([[0.5, 0.5]]), torch.tensor([[1.0, 0.0]])
        >>> NormalizedSoftmaxLoss()(similarity, relevance, relevance >= 0)  # −log ½
        tensor(0.6931)
    """

    wants_unit_vectors = True

    def __init__(self, temperature: float = 0.05) -> None:
        super().__init__()
        check_positive(temperature=temperature)
        self.temperature = temperature

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
        return Logits(similarity / self.temperature, positive, selection)
