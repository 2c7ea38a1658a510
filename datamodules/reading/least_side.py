"""How small a picture may be decoded, so that a list of transforms makes the same of it."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from torchvision.transforms import InterpolationMode, v2

# They work pixel by pixel or mirror the whole, and so do the same to a picture of any size.
_OF_ANY_SIZE = (
    v2.ColorJitter,
    v2.Grayscale,
    v2.Identity,
    v2.Normalize,
    v2.RGB,
    v2.RandomAutocontrast,
    v2.RandomChannelPermutation,
    v2.RandomEqualize,
    v2.RandomGrayscale,
    v2.RandomHorizontalFlip,
    v2.RandomInvert,
    v2.RandomPhotometricDistort,
    v2.RandomPosterize,
    v2.RandomSolarize,
    v2.RandomVerticalFlip,
    v2.ToDtype,
    v2.ToImage,
    v2.ToPureTensor,
)
_SMOOTH = (InterpolationMode.BILINEAR, InterpolationMode.BICUBIC, "bilinear", "bicubic")


def least_side_for(transforms: Sequence[Any]) -> int | None:
    """How many pixels the shorter side of a picture needs before these transforms.

    For `RandomResizedCrop` as many as keep its smallest and narrowest crop from being enlarged: of
    a picture whose shorter side is m, a crop of the share s of the area that is r times as wide as
    high is at least m·√(s·r) wide and m·√(s/r) high. For `Resize` twice its size, which its
    antialiasing turns into what the whole picture would have become (to 2/255 on average).

    Args:
        transforms: torchvision's v2 transforms, in order.

    Returns:
        None where only the picture at full size will do: something looks at its pixels, or cuts by
        them, before the first of the two above, or there is neither.
    """
    for transform in _flattened(transforms):
        # Not isinstance: a class of one's own may do anything.
        if type(transform) is v2.RandomResizedCrop and is_smooth(transform):
            return _for_crop(transform)
        if type(transform) is v2.Resize and transform.size and is_smooth(transform):
            return 2 * int(max(transform.size))
        if type(transform) not in _OF_ANY_SIZE:
            return None
    return None


def _for_crop(crop: Any) -> int:
    height, width = crop.size
    (share, _), (narrowest, widest) = crop.scale, crop.ratio
    least: float = max(width / math.sqrt(share * narrowest), height * math.sqrt(widest / share))
    return math.ceil(least)


def is_smooth(transform: Any) -> bool:
    """Whether each of its pixels is a mean of all that it stands for."""
    return bool(transform.antialias) and transform.interpolation in _SMOOTH


def _flattened(transforms: Sequence[Any]) -> Iterator[Any]:
    for transform in transforms:
        if type(transform) is v2.Compose:
            yield from _flattened(transform.transforms)
        else:
            yield transform
