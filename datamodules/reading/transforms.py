"""How pictures become a batch: lists of transforms, their defaults, and a trial of what they give.

A transform takes and gives an RGB picture, `3 h w`, as bytes: any of torchvision.transforms.v2, or
any callable of one's own. What it draws from torch's, NumPy's or Python's global generator follows
from (seed, epoch, index).
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import v2

from ranklight.datamodules.randomness import seeded

Transform = Callable[[Any], Any]
Size = tuple[int, int]

# Landscape and portrait: a resized shorter side alone would give two sizes.
_TRIALS = ((3, 300, 400), (3, 400, 300))


def random_part(size: Size) -> list[Transform]:
    """A random part of the picture (16 % to 100 % of its area), mirrored half of the time.

    For retrieval; the area is that of the multi-similarity paper's code.
    """
    return [v2.RandomResizedCrop(size, scale=(0.16, 1.0)), v2.RandomHorizontalFlip()]


def center(size: Size, resize: int) -> list[Transform]:
    """The shorter side resized, the center cut out."""
    return [v2.Resize(resize), v2.CenterCrop(size)]


def mirrored_whole(size: Size) -> list[Transform]:
    """The whole picture, squashed, mirrored half of the time: no labelled object can be lost."""
    return [*whole(size), v2.RandomHorizontalFlip()]


def whole(size: Size) -> list[Transform]:
    """The whole picture, squashed."""
    return [v2.Resize(size)]


def chain(transforms: Sequence[Transform]) -> Transform:
    """One after the other."""
    if len(transforms) == 1:
        return transforms[0]
    chained: Transform = v2.Compose(list(transforms)) if transforms else v2.Identity()
    return chained


def check_transforms(name: str, transforms: Sequence[Transform], size: Size) -> None:
    """Try a list of transforms on pictures of two shapes, before training comes to it.

    Args:
        name: The argument that it was given by.
        transforms: The list.
        size: Height and width that it has to give.

    Raises:
        ValueError: It gives no picture of that size, or one that was normalised.
    """
    for shape in _TRIALS:
        with seeded(0):
            tried = chain(transforms)(torch.randint(256, shape, dtype=torch.uint8))
        if not isinstance(tried, Tensor) or tried.shape != (3, *size):
            given = list(tried.shape) if isinstance(tried, Tensor) else type(tried).__name__
            raise ValueError(
                f"{name} must give pictures of {[3, *size]} (channels, height, width; by "
                f"image_size); of one of {list(shape)} they gave {given}"
            )
        in_range = tried.dtype == torch.uint8 or (
            tried.is_floating_point() and 0 <= tried.min() <= tried.max() <= 1
        )
        if not in_range:
            raise ValueError(
                f"{name} must give pictures, bytes or floats of 0..1; they gave {tried.dtype} of "
                f"{tried.min():.3g}..{tried.max():.3g} (the encoder normalises: leave that out)"
            )
