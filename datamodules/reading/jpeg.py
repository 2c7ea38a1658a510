"""JPEG, decoded fast and, where that will do, at a part of its size."""

from io import BytesIO
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
_START = b"\xff\xd8"
# Baseline, extended and progressive frames by Huffman codes; tables, JFIF, profiles and comments.
_FRAMES = (0xC0, 0xC1, 0xC2)
_TELL_NOTHING = (0xC4, 0xDB, 0xDD, 0xE0, 0xEE, 0xFE)


def is_plain_jpeg(image: Image.Image) -> TypeGuard[JpegImageFile]:
    """Whether it is a JPEG in grey, or in RGB or YCbCr as photographs are; CMYK is not."""
    return isinstance(image, JpegImageFile) and image.mode in ("L", "RGB")


def upright_jpeg_size(content: bytes) -> tuple[int, int] | None:
    """Width and height of a grey or colour JPEG without EXIF, XMP or a second picture.

    None for all others, which Pillow had better look at: it takes a sixth of the time that a small
    picture takes to find that there is nothing to see.
    """
    if not content.startswith(_START):
        return None
    at = len(_START)
    while len(content) >= at + 10 and content[at] == 0xFF:
        marker, length = content[at + 1], int.from_bytes(content[at + 2 : at + 4])
        if marker in _FRAMES:
            bits, components = content[at + 4], content[at + 9]
            height, width = (int.from_bytes(content[at + of : at + of + 2]) for of in (5, 7))
            plain = bits == 8 and components in (1, 3) and height and width
            return (width, height) if plain else None
        if marker not in _TELL_NOTHING:
            return None
        at += 2 + length
    return None


def largest_reduction(side: int, least_side: int | None) -> int:
    """8, 4, 2 or 1: by which `side` can be divided and stay at least `least_side` pixels.

    The inverse transform of JPEG's 8 × 8 blocks can stop at the lowest 4 × 4, 2 × 2 or 1 × 1
    frequencies, which makes the picture as much smaller.
    """
    if least_side is None:
        return 1
    return next((factor for factor in _REDUCTIONS if side >= factor * least_side), 1)


def jpeg_pixels(
    content: bytes, size: tuple[int, int], reduction: int = 1
) -> UInt8[np.ndarray, "h w 3"]:
    """The pixels as they are stored, in RGB, by simplejpeg (libjpeg-turbo) or else by Pillow.

    Args:
        content: The file's.
        size: Width and height, as its header has them.
        reduction: 8, 4, 2 or 1: each side becomes this much shorter, rounded up.
    """
    if decode_jpeg is not None:
        width, height = (-(-side // reduction) for side in size)
        try:
            pixels: UInt8[np.ndarray, "h w 3"] = decode_jpeg(
                content, "RGB", min_height=height, min_width=width
            )
        except ValueError:
            # A rare subsampling, or a broken file: Pillow reads it, or says what is wrong.
            return _by_pillow(content, size, reduction)
        return pixels
    return _by_pillow(content, size, reduction)


def _by_pillow(content: bytes, size: tuple[int, int], reduction: int) -> UInt8[np.ndarray, "h w 3"]:
    width, height = size
    with Image.open(BytesIO(content), formats=("JPEG",)) as image:
        # Rounded down, because Pillow looks for the largest reduction that is no smaller than this.
        image.draft(None, (max(1, width // reduction), max(1, height // reduction)))
        return np.array(image if image.mode == "RGB" else image.convert("RGB"))
