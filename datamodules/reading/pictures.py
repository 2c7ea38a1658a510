"""Pictures from files, as a person sees them."""

from pathlib import Path

import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms.v2 import functional as F

Colour = tuple[int, int, int]
Box = tuple[int, int, int, int]


def read_picture(
    file: str | Path,
    background: Colour = (255, 255, 255),
    box: Box | None = None,
    least_side: int | None = None,
) -> UInt8[Tensor, "3 h w"]:
    """A picture in RGB, upright by its EXIF orientation, transparency over one colour.

    Args:
        file: The image file.
        background: What is seen through transparent pixels.
        box: Left, top, right and bottom of the part that is wanted, in pixels.
        least_side: The shorter side need not be larger than this.

    Raises:
        ValueError: The file is gone, or not a readable image; names it.
    """
    try:
        with Image.open(file) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.has_transparency_data:
                seen = Image.new("RGBA", upright.size, background)
                seen.alpha_composite(upright.convert("RGBA"))
                upright = seen
            picture = upright.convert("RGB")
    except FileNotFoundError as error:
        raise ValueError(f"the image {file} was there at the start and is gone") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{file} is not a readable image: {error}") from error
    tensor: Tensor = F.pil_to_tensor(picture if box is None else picture.crop(box))
    return tensor.to(torch.uint8)
