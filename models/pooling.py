"""From a feature map to one vector: what is kept of the places.

A pooling is a module from maps to vectors of as many channels; one that learns something of that
size has `complete(channels)`, which the encoder calls.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_counts, check_positive
from ranklight.kernels.eager import without_autocast
from ranklight.kernels.masked import at_least_float32


class AveragePool(nn.Module):
    """The mean over places of each channel.

    Example:
        >>> AveragePool()(torch.tensor([[[[1.0, 3.0], [0.0, 4.0]]]]))
        tensor([[2.]])
    """

    def forward(self, maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c"]:
        """One value a channel."""
        return maps.mean((2, 3))


class MaxPool(nn.Module):
    """The maximum over places of each channel.

    Example:
        >>> MaxPool()(torch.tensor([[[[1.0, 3.0], [0.0, 4.0]]]]))
        tensor([[4.]])
    """

    def forward(self, maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c"]:
        """One value a channel."""
        return maps.amax((2, 3))


class AverageMaxPool(nn.Module):
    """The mean plus the maximum of each channel, as in Proxy-Anchor's released code.

    Kim et al., CVPR 2020, arXiv 2003.13911.

    Example:
        >>> AverageMaxPool()(torch.tensor([[[[1.0, 3.0], [0.0, 4.0]]]]))
        tensor([[6.]])
    """

    def forward(self, maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c"]:
        """One value a channel."""
        return maps.mean((2, 3)) + maps.amax((2, 3))


class GeM(nn.Module):
    """The generalised mean of each channel: between the average, p = 1, and the maximum, p → ∞.

        v_c = (mean over places of max(x_c, ε)^p)^(1/p)

    Radenović, Tolias, Chum: Fine-tuning CNN Image Retrieval with No Human Annotation, TPAMI 2019,
    arXiv 1711.02512; p starts at 3 and is learnt, one for all channels, ε = 1e-6, as there and in
    its released code. For maps that are not negative, as a ReLU gives them: of a transformer's
    signed tokens it sees the positive part only.

    Args:
        p: At the start; larger is nearer to the maximum.
        learn: Whether p learns.

    Raises:
        ValueError: p is not positive.

    Example:
        >>> print(f"{GeM(p=1.0)(torch.tensor([[[[1.0, 3.0], [0.0, 4.0]]]])).item():.3f}")
        2.000
    """

    p: Tensor

    def __init__(self, p: float = 3.0, learn: bool = True) -> None:
        super().__init__()
        check_positive(p=p)
        self.p = nn.Parameter(torch.tensor(p), requires_grad=learn)

    def forward(self, maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c"]:
        """One value a channel, in float32 or wider: powers leave half precision's range."""
        with without_autocast(maps):
            p = at_least_float32(self.p)
            powers = at_least_float32(maps).clamp(min=1e-6).pow(p)
            return powers.mean((2, 3)).pow(1 / p)


class AttentionPool(nn.Module):
    """The places that a learnt query attends to: which of them count is learnt.

        v = MultiHead(q, X, X),   X the map's places

    Pooling by multihead attention of the Set Transformer (Lee et al., ICML 2019, arXiv 1810.00825)
    with one seed, without its residual and feed-forward layers; eight heads as there are 64
    channels a head at 512.

    Args:
        heads: Among which the channels are divided.

    Raises:
        ValueError: Heads are below 1, or the trunk's channels are no multiple of them.

    Example:
        >>> pool = AttentionPool(heads=2)
        >>> pool.complete(channels=8)
        >>> pool(torch.zeros(3, 8, 4, 4)).shape
        torch.Size([3, 8])
    """

    def __init__(self, heads: int = 8) -> None:
        super().__init__()
        check_counts(heads=heads)
        self.heads = heads

    def complete(self, channels: int) -> None:
        """Draw what is learnt, now that the trunk's channels are known."""
        if channels % self.heads:
            raise ValueError(
                f"AttentionPool divides channels among heads: {channels} channels of the trunk are "
                f"no multiple of {self.heads} heads"
            )
        self.query = nn.Parameter(torch.randn(1, 1, channels) * channels**-0.5)
        self.attention = nn.MultiheadAttention(channels, self.heads, batch_first=True)

    def forward(self, maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c"]:
        """One vector a map."""
        places = maps.flatten(2).transpose(1, 2)
        query = self.query.expand(len(places), -1, -1)
        vectors: Tensor = self.attention(query, places, places, need_weights=False)[0]
        return vectors.squeeze(1)
