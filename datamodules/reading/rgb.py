"""Pixels of any kind that Pillow reads, as 8-bit RGB."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image, TiffImagePlugin

_DEEP_GREY = ("I", "I;16", "I;16B", "I;16L", "I;16N")
_WHITE_IS_ZERO = 0

# How Pillow makes 8 bits of a file's values, which it leaves out for the transparent one.
_TO_8_BITS: dict[str, Callable[[int], int]] = {
    "L;2": lambda value: value * 85,
    "L;4": lambda value: value * 17,
    "RGB;16B": lambda value: value >> 8,
}


def rgb_pixels(image: Image.Image, background: tuple[int, int, int]) -> UInt8[np.ndarray, "h w 3"]:
    """Red, green and blue of each pixel; what is transparent lies over the background.

    Grey of 16 bits is v/257, rounded; colours of 16 bits keep their upper 8; float is 255·v.

    Args:
        image: As Pillow opened it, not yet loaded.
        background: Red, green, blue in 0..255.

    Raises:
        ValueError: Whole numbers outside of 0..65535, or float numbers outside of 0..1.
    """
    if image.mode == "F":
        return _three_times(_from_float(np.asarray(image)))
    if image.mode in _DEEP_GREY:
        return _from_deep_grey(image, background)
    if image.has_transparency_data:
        image = _over(image, background)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _over(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """Transparent pixels over a colour."""
    key, rawmode = image.info.get("transparency"), _rawmode(image)
    if rawmode in _TO_8_BITS and key is not None:
        to_8_bits = _TO_8_BITS[rawmode]
        image.info["transparency"] = (
            to_8_bits(key) if isinstance(key, int) else tuple(map(to_8_bits, key))
        )
    if image.mode == "La":
        image = image.convert("LA")
    image = image.convert("RGBA")
    canvas = Image.new("RGB", image.size, background)
    canvas.paste(image, mask=image)
    return canvas


def _from_deep_grey(
    image: Image.Image, background: tuple[int, int, int]
) -> UInt8[np.ndarray, "h w 3"]:
    twelve_bits = _rawmode(image) == "I;12"
    values = np.asarray(image)
    least, most = values.min(), values.max()
    if least < 0 or most > 65535:
        raise ValueError(
            f"its values are {least}..{most}; whole numbers are read in 0..65535 (16 bits)"
        )
    grey = ((values.astype(np.uint32) * (16 if twelve_bits else 1) + 128) // 257).astype(np.uint8)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        # Pillow inverts 8 bits, but not 16.
        inverted = image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == _WHITE_IS_ZERO
        grey = 255 - grey if inverted else grey
    pixels = _three_times(grey)
    if "transparency" in image.info:
        pixels[values == image.info["transparency"]] = background
    return pixels


def _from_float(values: Shaped[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    least, most = values.min(), values.max()
    # Not turned around, so that nan is refused, too.
    if not (least >= 0 and most <= 1):
        raise ValueError(f"its values are {least:g}..{most:g}; float values are read in 0..1")
    scaled: UInt8[np.ndarray, "h w"] = np.rint(values * 255).astype(np.uint8)
    return scaled


def _three_times(grey: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    return np.repeat(grey[..., None], 3, axis=2)


def _rawmode(image: Image.Image) -> Any:
    """What the pixels are in the file, where Pillow's reader of the format says so."""
    tiles: Any = getattr(image, "tile", None)
    arguments = tiles[0][3] if tiles else None
    return arguments[0] if isinstance(arguments, tuple) else arguments
