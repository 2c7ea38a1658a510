"""JPEG, decoded fast and, where that will do, at a part of its size."""

from typing import TypeGuard

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

try:
    from simplejpeg import decode_jpeg
except ImportError:
    # There is no wheel for every platform.
    decode_jpeg = None

_REDUCTIONS = (8, 4, 2)


def is_plain_jpeg(image: Image.Image) -> TypeGuard[JpegImageFile]:
    """Whether it is a JPEG in grey, or in RGB or YCbCr as photographs are; CMYK is not."""
    return isinstance(image, JpegImageFile) and image.mode in ("L", "RGB")


def largest_reduction(side: int, least_side: int | None) -> int:
    """8, 4, 2 or 1: by which `side` can be divided and stay at least `least_side` pixels.

    The inverse transform of JPEG's 8 × 8 blocks can stop at the lowest 4 × 4, 2 × 2 or 1 × 1
    frequencies, which makes the picture as much smaller.
    """
    if least_side is None:
        return 1
    return next((factor for factor in _REDUCTIONS if side >= factor * least_side), 1)


def jpeg_pixels(image: JpegImageFile, reduction: int = 1) -> UInt8[np.ndarray, "h w 3"]:
    """The pixels as they are stored, in RGB, by simplejpeg (libjpeg-turbo) or else by Pillow.

    Args:
        image: As Pillow opened it, not yet loaded.
        reduction: 8, 4, 2 or 1: each side becomes this much shorter, rounded up.
    """
    if decode_jpeg is not None:
        assert image.fp is not None
        image.fp.seek(0)
        width, height = (-(-side // reduction) for side in image.size)
        try:
            pixels: UInt8[np.ndarray, "h w 3"] = decode_jpeg(
                image.fp.read(), "RGB", min_height=height, min_width=width
            )
        except ValueError:
            # A rare subsampling, or a broken file: Pillow reads it, or says what is wrong.
            return _by_pillow(image, reduction)
        return pixels
    return _by_pillow(image, reduction)


def _by_pillow(image: JpegImageFile, reduction: int) -> UInt8[np.ndarray, "h w 3"]:
    width, height = image.size
    # Rounded down, because Pillow looks for the largest reduction that is no smaller than this.
    image.draft(None, (max(1, width // reduction), max(1, height // reduction)))
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))
