"""A picture from its file: upright, RGB, 8 bits, whatever the file's format and depth."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import ExifTags, Image, UnidentifiedImageError
from torch import Tensor

from ranklight.datamodules.reading.jpeg import (
    is_plain_jpeg,
    jpeg_pixels,
    largest_reduction,
    upright_jpeg_size,
)
from ranklight.datamodules.reading.rgb import rgb_pixels

Colour = tuple[int, int, int]
Box = tuple[int, int, int, int]

WHITE = (255, 255, 255)
MOST_PIXELS = 178_956_970

_OF_HEIF = {".heic", ".heif"}
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".avif", ".gif", ".bmp"}
    | {".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k"}
    | _OF_HEIF
)
# Named, because Pillow also knows formats that run a program (EPS) or are no pictures.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM", "JPEG2000")
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")


class BoxOutsideError(ValueError):
    """A box that does not lie within its picture."""


def read_picture(
    file: str | Path,
    background: Colour = WHITE,
    box: Box | Callable[[int, int], Box] | None = None,
    least_side: int | None = None,
) -> UInt8[Tensor, "3 h w"]:
    """A picture as it is looked at.

    Turned by its EXIF orientation; alpha laid over a colour; 16-bit grey values v become v/257,
    float values 255·v; of an animation the first frame. Colour profiles are not applied. A whole
    picture equals Pillow's to 2/255 on average, whichever decoder reads.

    Args:
        file: JPEG, PNG, WebP, AVIF, GIF, BMP, TIFF, PPM, JPEG 2000; HEIC with pillow-heif.
        background: What shows through where the picture is transparent, red, green, blue in 0..255.
        box: The part that is wanted, (left, top, right, bottom) in pixels of the upright picture,
            right and bottom outside of it; or what gives it for a width and a height.
        least_side: A JPEG may be decoded at a half, a quarter or an eighth of its size, as long as
            the shorter side (of the box, if there is one) stays at least this many pixels; None
            decodes at full size.

    Raises:
        BoxOutsideError: The box reaches beyond the picture; names the file.
        ValueError: The file is gone, empty, cut off, too large, or not a picture; names it.
    """
    with _one_sentence(file):
        content = _content(file)
        if size := upright_jpeg_size(content):
            _check_pixels(*size)
            return _of_jpeg(file, content, size, 1, box, least_side)
        with Image.open(BytesIO(content), formats=_formats()) as image:
            _check_pixels(*image.size)
            if is_plain_jpeg(image):
                orientation = _orientation(image)
                return _of_jpeg(file, content, image.size, orientation, box, least_side)
            pixels = rgb_pixels(image, background)
            # Only now: a PNG may state it behind the pixels, and Pillow turns TIFF by itself.
            upright = _turned(pixels, _orientation(image))
        height, width, _ = upright.shape
        return _cut(upright, _part(file, box, (width, height)))


def check_header(file: str | Path) -> None:
    """Whether a file begins as a picture; what is wrong with its pixels only `read_picture` finds.

    Raises:
        ValueError: The file is gone, empty, too large, or not a picture; names the file.
    """
    with _header(file):
        pass


def picture_size(file: str | Path) -> tuple[int, int]:
    """Width and height of the upright picture, from its header alone.

    Raises:
        ValueError: The file is gone, empty, too large, or not a picture; names the file.
    """
    with _header(file) as image:
        # Pillow has turned the size of TIFF.
        turned = image.format != "TIFF"
        return _turned_size(image.size, _orientation(image)) if turned else image.size


@contextmanager
def _header(file: str | Path) -> Iterator[Image.Image]:
    with (
        _one_sentence(file),
        Path(file).open("rb") as stream,
        Image.open(stream, formats=_formats()) as image,
    ):
        _check_pixels(*image.size)
        yield image


def _of_jpeg(
    file: str | Path,
    content: bytes,
    stored: tuple[int, int],
    orientation: int,
    box: Box | Callable[[int, int], Box] | None,
    least_side: int | None,
) -> UInt8[Tensor, "3 h w"]:
    part = _part(file, box, _turned_size(stored, orientation))
    left, top, right, bottom = part
    reduction = largest_reduction(min(right - left, bottom - top), least_side)
    return _cut(_turned(jpeg_pixels(content, stored, reduction), orientation), part, reduction)


def _cut(
    upright: UInt8[np.ndarray, "h w 3"], part: Box, reduction: int = 1
) -> UInt8[Tensor, "3 part_h part_w"]:
    """A part of a picture, of which each side is a reduction of that which the part is stated for.

    A copy, so that no more than the part is held.
    """
    left, top, right, bottom = part
    rows = _reduced(top, bottom, reduction, upright.shape[0])
    columns = _reduced(left, right, reduction, upright.shape[1])
    return torch.from_numpy(np.ascontiguousarray(upright[rows, columns])).permute(2, 0, 1)


def _content(file: str | Path) -> bytes:
    """All of a file in one read, since each costs as much as a tenth of a small picture."""
    with Path(file).open("rb", buffering=0) as stream:
        return stream.read()


@contextmanager
def _one_sentence(file: str | Path) -> Iterator[None]:
    """Whatever goes wrong inside becomes one sentence."""
    try:
        yield
    except BoxOutsideError:
        raise
    # A broken file makes decoders raise nearly anything.
    except Exception as error:
        raise ValueError(_what_is_wrong(Path(file), error)) from error


def _check_pixels(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise Image.DecompressionBombError


def _what_is_wrong(file: Path, error: Exception) -> str:
    match error:
        case FileNotFoundError():
            return f"the image {file} was there at the start and is gone"
        case Image.DecompressionBombError():
            reason = f"it has more than {MOST_PIXELS:,} pixels, the most that is read; shrink it"
        case UnidentifiedImageError():
            reason = _why_no_header(file)
        case OSError(strerror=str(strerror)):
            reason = strerror
        case _:
            reason = str(error) or repr(error)
    return f"{file} is not a readable image: {reason}"


def _why_no_header(file: Path) -> str:
    """Pillow keeps to itself why it knows no format of a file."""
    with file.open("rb") as stream:
        start = stream.read(64)
        if not start:
            return "it is empty"
        # Asked before Pillow's AVIF, which takes HEIC for its own.
        if start[4:8] == b"ftyp" and any(brand in start for brand in _HEIF_BRANDS):
            return "it is HEIC, for which pillow-heif is needed: pip install pillow-heif"
        for name in _formats():
            try:
                factory, accept = Image.OPEN[name]
                if accept is not None and accept(start[:16]):
                    stream.seek(0)
                    factory(stream, str(file))
            except Exception as error:
                return f"as {name}: {error}"
    return f"it is none of {', '.join(_formats())}; it begins with {start[:16]!r}"


@cache
def _formats() -> tuple[str, ...]:
    try:
        import pillow_heif
    except ImportError:
        return _FORMATS
    pillow_heif.register_heif_opener()
    return (*_FORMATS, "HEIF")


def _orientation(image: Image.Image) -> int:
    """The EXIF (or XMP) orientation, 1..8; 1 where there is none, or it cannot be read."""
    try:
        # Not the method of PNG, which would decode the pixels in search of it.
        value = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
    except Exception:
        # As Pillow and browsers do: a picture with damaged EXIF is shown as it is stored.
        return 1
    return value if value in range(1, 9) else 1


def _turned(pixels: UInt8[np.ndarray, "a b 3"], orientation: int) -> UInt8[np.ndarray, "h w 3"]:
    """The picture upright, as a view."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def _turned_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    width, height = size
    return (height, width) if orientation >= 5 else (width, height)


def _part(
    file: str | Path, box: Box | Callable[[int, int], Box] | None, size: tuple[int, int]
) -> Box:
    """The box, or the whole picture."""
    width, height = size
    if box is None:
        return (0, 0, width, height)
    part = box(width, height) if callable(box) else box
    check_box(file, part, size)
    return part


def _reduced(start: int, end: int, reduction: int, side: int) -> slice:
    """A stretch of a side in a reduced picture: as long, rounded up, at the nearest place."""
    length = -(-(end - start) // reduction)
    first = min((start + reduction // 2) // reduction, side - length)
    return slice(first, first + length)


def check_box(file: str | Path, box: Box, size: tuple[int, int]) -> None:
    """Refuse a box that does not lie within the upright picture of a width and a height.

    Raises:
        BoxOutsideError: It reaches beyond, or is empty; names the file.
    """
    left, top, right, bottom = box
    width, height = size
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise BoxOutsideError(
            f"the box {box} (left, top, right, bottom) must lie within the image {file}, which is "
            f"{width} x {height} pixels, and be at least one pixel wide and high"
        )
