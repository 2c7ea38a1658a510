"""The deep ranking network: a deep path beside two shallow ones that see less detail."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
import torchvision
from jaxtyping import Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_counts, check_share, whole
from ranklight.models.encoder import unit_vectors
from ranklight.models.inputs import Pictures, inputs_of
from ranklight.models.trunks.torchvision_trunk import IMAGENET_MEAN, IMAGENET_STD


@dataclass(frozen=True)
class LowResolution:
    """One shallow path: subsample, convolve, pool.

    All are whole numbers from 1, but for the paddings, which may be 0.

    Args:
        subsample: The side of the image over the side that the path sees.
        kernel: Of the convolution.
        stride: Of the convolution.
        padding: Of the convolution.
        channels: Of the convolution.
        pool: Kernel of the max pooling.
        pool_stride: Its stride.
        pool_padding: Its padding.
    """

    subsample: int
    kernel: int = 8
    stride: int = 4
    padding: int = 4
    channels: int = 96
    pool: int = 7
    pool_stride: int = 4
    pool_padding: int = 2

    def __post_init__(self) -> None:
        """Refuse numbers that no path can have.

        Raises:
            TypeError: One is not a whole number.
            ValueError: One is below 1, or a padding below 0.
        """
        for name, number in vars(self).items():
            least = 0 if name.endswith("padding") else 1
            if whole(number, name) < least:
                raise ValueError(f"{name} must be {least} or more; got {number}")


FOUR_TO_ONE = LowResolution(4)
EIGHT_TO_ONE = LowResolution(8, pool=3, pool_stride=2, pool_padding=1)


class MultiScale(nn.Module):
    """A deep network beside shallow paths on smaller copies of the image, in one embedding.

        z = norm(W [norm(deep(x)), norm([path_1(x ↓ 4), path_2(x ↓ 8)])])

    The deep path sees what an object is, the shallow ones its colours and coarse layout. Wang et
    al., CVPR 2014, arXiv 1404.4661: 225×225 pixels, an AlexNet of 4096 dimensions, paths of 96
    kernels 8×8, W to 4096 dimensions. Its figure does not add up, and here

    - the pools of the two paths are swapped (7×7 stride 4 for 4:1, 3×3 stride 2 for 8:1) and
      everything is padded, which gives the printed 57 → 15 → 4 and 29 → 8 → 4;
    - both together have 2 · 96 · 4 · 4 = 3072 dimensions, not the printed 3074;
    - it keeps with probability 0.6, which is dropout of 0.4, on both layers of 4096 in the deep
      path and before W.

    For small images give a small `deep` and paths, for example of 48×48 pixels in one channel
    `MultiScale(SmallConvNet(), 128, [LowResolution(2, 5, 2, 2, 16, 3, 3, 1)], 1, 48, 128, 0.0)`.

    Args:
        deep: Images to vectors, or to feature maps, which are averaged; by default AlexNet up to
            its second layer of 4096, without weights of any training.
        deep_dim: Its output dimensions.
        paths: The shallow ones; none is the paper's single-scale network.
        in_channels: Of the images.
        image_size: Side of the images in pixels, to know the size of the paths' outputs.
        embedding_dim: Output dimensions.
        dropout: Probability to drop, before W; below 1.

    Raises:
        TypeError: A setting is no number.
        ValueError: A size is below 1, images are too small for a path, or dropout is not 0 to
            below 1.
    """

    def __init__(
        self,
        deep: nn.Module | None = None,
        deep_dim: int = 4096,
        paths: Sequence[LowResolution] = (FOUR_TO_ONE, EIGHT_TO_ONE),
        in_channels: int = 3,
        image_size: int = 225,
        embedding_dim: int = 4096,
        dropout: float = 0.4,
    ) -> None:
        super().__init__()
        sizes = {"deep_dim": deep_dim, "in_channels": in_channels, "image_size": image_size}
        check_counts(embedding_dim=embedding_dim, **sizes)
        check_share(dropout=dropout)
        self.deep = AlexNet4096(dropout) if deep is None else deep
        self.inputs = inputs_of(self.deep)
        self.paths = nn.ModuleList(_Path(in_channels, path) for path in paths)
        with torch.no_grad():
            blank = torch.zeros(1, in_channels, image_size, image_size)
            self.low_dim = sum(_width(path, blank) for path in self.paths)
        self.dropout = nn.Dropout(dropout)
        self.projection = nn.Linear(deep_dim + self.low_dim, embedding_dim)
        self.embedding_dim = embedding_dim

    def forward(self, images: Pictures) -> Float[Tensor, "n d"]:
        """Unit embeddings of a batch of pictures; all paths see the deep one's normalisation."""
        images = self.inputs(images)
        deep = self.deep(images)
        parts = [unit_vectors(deep.mean((2, 3)) if deep.ndim == 4 else deep)]
        if len(self.paths):
            parts.append(unit_vectors(torch.cat([path(images) for path in self.paths], 1)))
        return unit_vectors(self.projection(self.dropout(torch.cat(parts, 1))))


class AlexNet4096(nn.Module):
    """Torchvision's AlexNet up to its second layer of 4096, ReLU included; any image size.

    Args:
        dropout: Before each of its two large layers.
    """

    mean, std = IMAGENET_MEAN, IMAGENET_STD

    def __init__(self, dropout: float = 0.4) -> None:
        super().__init__()
        network = torchvision.models.alexnet(dropout=dropout)
        self.features = nn.Sequential(network.features, network.avgpool)
        self.layers = nn.Sequential(*list(network.classifier)[:-1])

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 4096"]:
        """One vector an image."""
        vectors: Tensor = self.layers(self.features(images).flatten(1))
        return vectors


def _width(path: nn.Module, blank: Tensor) -> int:
    try:
        return int(path(blank).shape[1])
    except RuntimeError as error:
        raise ValueError(
            f"images of {blank.shape[-1]} pixels are too small for the path {path}: give paths "
            "with smaller kernels, or a larger image_size"
        ) from error


class _Path(nn.Module):
    def __init__(self, in_channels: int, path: LowResolution) -> None:
        super().__init__()
        self.subsample = path.subsample
        self.convolution = nn.Conv2d(
            in_channels, path.channels, path.kernel, path.stride, path.padding
        )
        self.pool = nn.MaxPool2d(path.pool, path.pool_stride, path.pool_padding)

    def forward(self, images: Tensor) -> Tensor:
        side = [-(-length // self.subsample) for length in images.shape[2:]]
        small = F.interpolate(images, size=side, mode="bilinear", antialias=True)
        maps: Tensor = self.pool(F.relu(self.convolution(small)))
        return maps.flatten(1)
