"""Pictures in, one embedding a row out."""

from typing import Literal, cast

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ranklight.kernels.eager import without_autocast
from ranklight.kernels.masked import at_least_float32
from ranklight.models.inputs import Pictures, in_unit_range, inputs_of


class Encoder(nn.Module):
    """A trunk, a global pooling, a linear projection, and the unit sphere if wanted.

    Takes pictures (bytes, or floats of 0..1) and normalises them as its trunk was trained.

    Args:
        trunk: A module from images to feature maps with an attribute `channels`, for example
            `TorchvisionTrunk("resnet50")` or `SmallConvNet()`; where it has `mean` and `std`, it
            is given (picture − mean) / std, else pictures of 0..1.
        embedding_dim: Size of the embedding; None leaves out the projection.
        pooling: "average"; "max"; or "both", their sum, as in Proxy-Anchor's released code.
        normalize: Divide each embedding by its length. Losses on angles want it, the log-ratio
            loss must not have it.
        freeze_batch_norm: Keep running statistics as they are (batch norm in eval mode) while
            training, as the multi-similarity paper's code does; the affine part still learns.
    """

    def __init__(
        self,
        trunk: nn.Module,
        embedding_dim: int | None = 512,
        pooling: Literal["average", "max", "both"] = "average",
        normalize: bool = True,
        freeze_batch_norm: bool = False,
    ) -> None:
        super().__init__()
        self.inputs = inputs_of(trunk)
        self.trunk = trunk
        self.pooling = pooling
        self.normalize = normalize
        self.freeze_batch_norm = freeze_batch_norm
        channels = cast(int, trunk.channels)
        self.embedding_dim = channels if embedding_dim is None else embedding_dim
        self.projection = (
            nn.Identity() if embedding_dim is None else nn.Linear(channels, embedding_dim)
        )
        # Lightning trains in the mode that it finds and calls train() no more: freeze here too.
        self.train(self.training)

    def forward(self, images: Pictures) -> Float[Tensor, "n d"]:
        """Embeddings of a batch of pictures."""
        pooled = pool(self.trunk(self.inputs(images)), self.pooling)
        embeddings: Tensor = self.projection(pooled)
        return unit_vectors(embeddings) if self.normalize else embeddings

    def train(self, mode: bool = True) -> "Encoder":
        """Training mode, but for frozen batch norm."""
        super().train(mode)
        if self.freeze_batch_norm:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self


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


def pool(
    maps: Float[Tensor, "n c h w"], pooling: Literal["average", "max", "both"]
) -> Float[Tensor, "n c"]:
    """One value a channel: its mean, its maximum, or the sum of the two."""
    if pooling == "average":
        return maps.mean((2, 3))
    if pooling == "max":
        return maps.amax((2, 3))
    return maps.mean((2, 3)) + maps.amax((2, 3))
