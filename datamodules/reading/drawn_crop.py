"""A random crop drawn before its picture is read, so that the reading can be made for it."""

from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor
from torchvision.transforms import v2

from ranklight.datamodules.reading.pictures import WHITE, Box, Colour, check_box, read_picture


def read_drawn_crop(
    file: str | Path, crop: v2.RandomResizedCrop, background: Colour = WHITE, box: Box | None = None
) -> UInt8[Tensor, "3 h w"]:
    """What `crop(read_picture(file, background, box))` is, from a JPEG no larger than that needs.

    The crop is drawn as torchvision draws it, from the picture's size alone. The JPEG is decoded at
    a half, a quarter or an eighth of its size as long as this crop need not be enlarged for it.

    Args:
        file: As for `read_picture`.
        crop: Its random numbers come from torch's global generator, as ever.
        background: As for `read_picture`.
        box: The part of the file that is the picture.

    Raises:
        ValueError: As `read_picture`.
    """

    def draw(width: int, height: int) -> Box:
        whole = (0, 0, width, height) if box is None else box
        check_box(file, whole, (width, height))
        return _drawn(crop, whole)

    picture = read_picture(file, background, draw, least_side=max(crop.size))
    resized: Tensor = v2.functional.resize(
        picture, crop.size, interpolation=crop.interpolation, antialias=crop.antialias
    )
    return resized


def _drawn(crop: v2.RandomResizedCrop, box: Box) -> Box:
    left, top, right, bottom = box
    # Nothing but its shape is asked for.
    picture = torch.empty(()).expand(3, bottom - top, right - left)
    drawn = crop.make_params([picture])
    left, top = left + drawn["left"], top + drawn["top"]
    return (left, top, left + drawn["width"], top + drawn["height"])
