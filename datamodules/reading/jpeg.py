"""JPEG, decoded fast and, where that will do, at a part of its size."""

import numpy as np
from jaxtyping import UInt8
from PIL import Image, JpegImagePlugin

_REDUCTIONS = (8, 4, 2)


def is_plain_jpeg(image: Image.Image) -> bool:
    """Whether it is a JPEG in grey, or in RGB or YCbCr as photographs are; CMYK is not."""
    return isinstance(image, JpegImagePlugin.JpegImageFile) and image.mode in ("L", "RGB")


def largest_reduction(side: int, least_side: int | None) -> int:
    """8, 4, 2 or 1: by which `side` can be divided and stay at least `least_side` pixels.

    The inverse transform of JPEG's 8 × 8 blocks can stop at the lowest 4 × 4, 2 × 2 or 1 × 1
    frequencies, which makes the picture as much smaller.
    """
    if least_side is None:
        return 1
    return next((factor for factor in _REDUCTIONS if side >= factor * least_side), 1)


def jpeg_pixels(image: Image.Image, reduction: int = 1) -> UInt8[np.ndarray, "h w 3"]:
    """The pixels as they are stored, in RGB.

    Args:
        image: As Pillow opened it, not yet loaded.
        reduction: 8, 4, 2 or 1: each side becomes this much shorter, rounded up.
    """
    width, height = image.size
    image.draft(None, (max(1, width // reduction), max(1, height // reduction)))
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))
