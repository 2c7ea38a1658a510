"""Neighbourhood component analysis with class centers for neighbours."""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_positive
from ranklight.kernels.cross_entropy import Logits
from ranklight.pairs.cross_entropy import cross_entropy
from ranklight.pairs.selection import loss_inputs, split


class ProxyNCALoss(nn.Module):
    """Proxy-NCA++: an anchor should choose the center (proxy) of its class as its neighbour.

        L = mean over i of  −log( e^{−D_iy/T} / Σ_{j ∈ Z_i} e^{−D_ij/T} ),
        D_ij = ‖z_i − p_j‖² = 2 − 2 S_ij

    y is the selected proxy of i's class (R > 0), and Z_i are all selected proxies; or, with
    `own_in_sum=False`, which is Proxy-NCA, those of other classes, and the loss may fall below 0.
    The references are `ClassCenters`; of several positives the mean over y is taken, and anchors
    that lack either are left out. T is for unit vectors.

    Teh, DeVries, Taylor: ProxyNCA++: Revisiting and Revitalizing Proxy Neighborhood Component
    Analysis, ECCV 2020, arXiv 2004.01113, after Movshovitz-Attias, Toshev, Leung, Ioffe, Singh: No
    Fuss Distance Metric Learning Using Proxies, ICCV 2017, arXiv 1703.07464. T = 1/9 is the
    former's (T = 1 is the latter's). As −D/T = 2 S/T − 2/T, with all proxies in the sum this is
    `NormalizedSoftmaxLoss(temperature=T / 2)`. The same as the released code, and as
    pytorch-metric-learning with softmax_scale = 1/T. The rest of the paper is not of the loss: max
    pooling, a LayerNorm, and a larger learning rate for the proxies.

    Args:
        temperature: T, in squared distance; smaller looks at the closest other proxies only.
        own_in_sum: Whether Z_i has the own class.

    Example:
        >>> import torch
        >>> similarity, relevance = torch.tensor([[0.5, 0.5]]), torch.tensor([[1.0, 0.0]])
        >>> ProxyNCALoss()(similarity, relevance, relevance >= 0)  # −log ½
        tensor(0.6931)
    """

    wants_unit_vectors = True

    def __init__(self, temperature: float = 1 / 9, own_in_sum: bool = True) -> None:
        super().__init__()
        check_positive(temperature=temperature)
        self.temperature = temperature
        self.own_in_sum = own_in_sum

    def forward(
        self,
        similarity: Float[Tensor, "n m"],
        relevance: Float[Tensor, "n m"],
        selection: Bool[Tensor, "n m"],
    ) -> Float[Tensor, ""]:
        """Loss of the selected proxies.

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
        positive, negative = split(relevance, selection)
        summed = selection if self.own_in_sum else negative
        return Logits((2 * similarity - 2) / self.temperature, positive, summed)
