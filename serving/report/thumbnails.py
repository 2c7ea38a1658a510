"""Pictures small enough to lie in a page."""

from base64 import b64encode
from io import BytesIO
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from ranklight.datamodules.reading.pictures import read_picture
from ranklight.serving.report.markup import Html, element

_SIDE = 128
_QUALITY = 80


def thumbnail(file: Path | None, name: str, words: str) -> Html:
    """A picture of at most 128 × 128 pixels with its bytes in the page, or why there is none.

    Args:
        file: Where it lies; None where that is not known.
        name: What it is called.
        words: What it shows, for those who do not see it.
    """
    if file is None:
        return element("span", f"no picture: {name} is not there", class_="no-picture")
    try:
        picture = read_picture(file, least_side=_SIDE)
    except ValueError as error:
        return element("span", f"no picture: {error}", class_="no-picture")
    small = _shrunk(picture)
    coded = BytesIO()
    small.save(coded, "JPEG", quality=_QUALITY)
    source = f"data:image/jpeg;base64,{b64encode(coded.getvalue()).decode()}"
    times = max(1, _SIDE // max(small.size))
    return element(
        "img",
        src=source,
        alt=words,
        width=small.width * times,
        height=small.height * times,
        class_="enlarged" if times > 1 else "picture",
    )


def _shrunk(picture: Tensor) -> Image.Image:
    image = Image.fromarray(picture.permute(1, 2, 0).contiguous().to(torch.uint8).numpy())
    image.thumbnail((_SIDE, _SIDE))
    return image
