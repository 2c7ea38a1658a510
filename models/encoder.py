"""Pictures in, one embedding a row out."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, cast

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ranklight.kernels.checks import check_counts
from ranklight.kernels.eager import without_autocast
from ranklight.kernels.masked import at_least_float32
from ranklight.models.inputs import Pictures, in_unit_range, inputs_of
from ranklight.models.pooling import AveragePool, GeM


class Encoder(nn.Module):
    """A trunk, a global pooling, a projection, and the unit sphere if wanted.

    Takes pictures (bytes, or floats of 0..1) and normalises them as its trunk was trained.

    Args:
        trunk: A module from images to feature maps with an attribute `channels`, for example
            `TorchvisionTrunk("resnet50")` or `SmallConvNet()`; where it has `mean` and `std`, it
            is given (picture − mean) / std, else pictures of 0..1.
        embedding_dim: Size of the embedding; None leaves out the projection.
        pooling: From maps to one vector each: of `models`, AveragePool, MaxPool, AverageMaxPool,
            GeM or AttentionPool; None is AveragePool.
        hidden: Sizes of hidden layers of the projection, each followed by a ReLU; none: it is
            linear.
        normalize: Divide each embedding by its length. Losses on angles want it, the log-ratio
            loss must not have it.
        freeze_batch_norm: Keep running statistics as they are (batch norm in eval mode) while
            training, as the multi-similarity paper's code does; the affine part still learns.

    Raises:
        ValueError: Hidden layers without a projection, no dimension, or GeM of a class token.

    Example:
        >>> import torch
        >>> from ranklight.models import SmallConvNet
        >>> encoder = Encoder(SmallConvNet(3, 8), embedding_dim=16, pooling=GeM(), hidden=[64])
        >>> encoder(torch.rand(2, 3, 32, 32)).shape
        torch.Size([2, 16])
    """

    def __init__(
        self,
        trunk: nn.Module,
        embedding_dim: int | None = 512,
        pooling: nn.Module | None = None,
        hidden: Sequence[int] = (),
        normalize: bool = True,
        freeze_batch_norm: bool = False,
    ) -> None:
        super().__init__()
        if embedding_dim is not None:
            check_counts(embedding_dim=embedding_dim)
        self.inputs = inputs_of(trunk)
        self.trunk = trunk
        self.pooling = AveragePool() if pooling is None else pooling
        self.normalize = normalize
        self.freeze_batch_norm = freeze_batch_norm
        channels = cast(int, trunk.channels)
        _check_signs(trunk, self.pooling)
        if hasattr(self.pooling, "complete"):
            cast(Any, self.pooling).complete(channels)
        self.embedding_dim = channels if embedding_dim is None else embedding_dim
        self.projection = _projection(channels, hidden, embedding_dim)
        # Lightning trains in the mode that it finds and calls train() no more: freeze here too.
        self.train(self.training)

    def forward(self, images: Pictures) -> Float[Tensor, "n d"]:
        """Embeddings of a batch of pictures."""
        embeddings: Tensor = self.projection(self.pooling(self.trunk(self.inputs(images))))
        return unit_vectors(embeddings) if self.normalize else embeddings

    def train(self, mode: bool = True) -> "Encoder":
        """Training mode, but for frozen batch norm."""
        super().train(mode)
        if self.freeze_batch_norm:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self


class FeatureMap(nn.Module):
    """A trunk's last feature map of pictures: what a head takes that looks at places.

    Takes pictures (bytes, or floats of 0..1) and normalises them as its trunk was trained.

    Args:
        trunk: As in `Encoder`.

    Attributes:
        embedding_dim: The trunk's channels.

    Example:
        >>> import torch
        >>> from ranklight.models import SmallConvNet
        >>> FeatureMap(SmallConvNet(3, 8))(torch.rand(2, 3, 32, 32)).shape
        torch.Size([2, 32, 4, 4])
    """

    def __init__(self, trunk: nn.Module) -> None:
        super().__init__()
        self.inputs = inputs_of(trunk)
        self.trunk = trunk
        self.embedding_dim = cast(int, trunk.channels)

    def forward(self, images: Pictures) -> Float[Tensor, "n d i j"]:
        """Maps of a batch of pictures."""
        maps: Tensor = self.trunk(self.inputs(images))
        return maps


class Pixels(nn.Module):
    """The image itself as its embedding: the baseline that has learnt nothing.

    Args:
        normalize: Divide each embedding by its length.
    """

    def __init__(self, normalize: bool = True) -> None:
        super().__init__()
        self.normalize = normalize

    def forward(self, images: Pictures) -> Float[Tensor, "n d"]:
        """All pixels of an image in a row, each of 0..1 before they are normalised."""
        pixels = in_unit_range(images).flatten(1)
        return unit_vectors(pixels) if self.normalize else pixels


def unit_vectors(vectors: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Each row over its length, in float32 or wider; a row of zeros stays one.

    In half precision the square of a length overflows above 256, and `F.normalize`'s epsilon is 0.
    """
    with without_autocast(vectors):
        return F.normalize(at_least_float32(vectors))


def _projection(channels: int, hidden: Sequence[int], embedding_dim: int | None) -> nn.Module:
    if embedding_dim is None:
        if hidden:
            raise ValueError(
                f"hidden layers {list(hidden)} belong to a projection: give its size, embedding_dim"
            )
        return nn.Identity()
    *inner, last = (nn.Linear(*sizes) for sizes in pairwise([channels, *hidden, embedding_dim]))
    if not inner:
        return last
    return nn.Sequential(*(layer for each in inner for layer in (each, nn.ReLU())), last)


def _check_signs(trunk: nn.Module, pooling: nn.Module) -> None:
    tokens = getattr(trunk, "tokens", "patches")
    if isinstance(pooling, GeM) and tokens != "patches":
        raise ValueError(
            f"GeM pools places and drops what is negative: with tokens {tokens} of the trunk take "
            "AveragePool, or patches"
        )
