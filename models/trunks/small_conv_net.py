"""A network for small pictures."""

from itertools import pairwise
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_counts

_GROUPS = 8


class SmallConvNet(nn.Module):
    """Four 3×3 convolutions for images of about 32 pixels.

    Groups are normalised, not batches: what it learns of an image does not depend on the images
    beside it, nor on how many processes share the batch.

    Args:
        in_channels: 1 for grey images, 3 for colour.
        width: Channels of the first convolution, a multiple of 8; the last has four times as many.
        coordinates: Show the net where each pixel is, as two more channels from −1 to 1 (CoordConv,
            Liu et al., NeurIPS 2018, arXiv 1807.03247): for labels that depend on the place, which
            a global pooling would lose.

    Raises:
        ValueError: No channels, or a width that is no multiple of 8.

    Example:
        >>> SmallConvNet(in_channels=3, width=8)(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 32, 4, 4])
    """

    def __init__(self, in_channels: int = 1, width: int = 32, coordinates: bool = False) -> None:
        super().__init__()
        self.in_channels = in_channels
        check_counts(in_channels=in_channels, width=width)
        if width % _GROUPS:
            raise ValueError(f"width must be a multiple of {_GROUPS}, the groups; got {width}")
        self.coordinates = coordinates
        shown = in_channels + 2 if coordinates else in_channels
        widths = [shown, width, 2 * width, 4 * width, 4 * width]
        self.layers = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(before, after, 3, padding=1, bias=False),
                    nn.GroupNorm(_GROUPS, after),
                    nn.ReLU(),
                    nn.MaxPool2d(2) if depth < 3 else nn.Identity(),
                )
                for depth, (before, after) in enumerate(pairwise(widths))
            )
        )
        self.channels = widths[-1]

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        """The last feature map, an eighth of the image's side."""
        if self.coordinates:
            images = torch.cat([images, _coordinates(images)], dim=1)
        return cast(Tensor, self.layers(images))

    def complete(self, image_shape: tuple[int, int, int]) -> None:
        """Refuse pictures of other channels, now that they are known.

        Raises:
            ValueError: They have more or fewer.
        """
        if image_shape[0] != self.in_channels:
            raise ValueError(
                f"SmallConvNet is for pictures of {self.in_channels} channels, and those of the "
                f"data have {image_shape[0]}: set in_channels to {image_shape[0]}"
            )


def _coordinates(images: Tensor) -> Tensor:
    count, _, height, width = images.shape
    down, across = (
        torch.linspace(-1, 1, side, device=images.device, dtype=images.dtype)
        for side in (height, width)
    )
    return torch.stack(torch.meshgrid(across, down, indexing="xy")).expand(count, 2, height, width)
