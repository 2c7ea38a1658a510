"""Pictures made small."""

from io import BytesIO
from pathlib import Path

from PIL import Image

from ranklight.datamodules.reading.pictures import Box, read_picture


def thumbnail(file: Path, side: int, box: Box | None = None) -> Image.Image:
    """A picture, or a box in it, whose longer side is at most so many pixels.

    Raises:
        ValueError: It cannot be read; names the file.
    """
    pixels = read_picture(file, box=box, least_side=side)
    small = Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
    small.thumbnail((side, side))
    return small


def jpeg_of(picture: Image.Image) -> bytes:
    """A picture as a JPEG file."""
    content = BytesIO()
    picture.save(content, "JPEG", quality=85)
    return content.getvalue()
