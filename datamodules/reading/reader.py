"""How to read pictures for what a transform will make of them."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import Tensor
from torchvision.transforms import v2

from ranklight.datamodules.reading.drawn_crop import read_drawn_crop
from ranklight.datamodules.reading.least_side import is_smooth, least_side_for
from ranklight.datamodules.reading.pictures import read_picture
from ranklight.datamodules.reading.transforms import Transform, chain

# Of a file, with the keywords background and box; gives an RGB picture, `3 h w` of bytes.
Reader = Callable[..., Tensor]


def reader_for(transform: Transform) -> tuple[Reader, Transform]:
    """How to read before a transform, and what of the transform is left to do.

    A JPEG is decoded no larger than needed: for the crop that is drawn where `RandomResizedCrop`
    comes first, else by `least_side_for`.
    """
    composed: Any = transform
    steps: Sequence[Any] = composed.transforms if type(composed) is v2.Compose else [composed]
    if type(steps[0]) is v2.RandomResizedCrop and is_smooth(steps[0]):
        return partial(read_drawn_crop, crop=steps[0]), chain(steps[1:])
    return partial(read_picture, least_side=least_side_for(steps)), transform
