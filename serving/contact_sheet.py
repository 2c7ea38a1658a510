"""A picture of queries, each beside what was found for it."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor
from torchvision.transforms.v2.functional import resize

from ranklight.datamodules.reading.pictures import read_picture
from ranklight.running.picture_sheet import Line, Panel, draw_sheet
from ranklight.serving.found import Found
from ranklight.serving.image_index import ImageIndex
from ranklight.writing import replacing

_SIDE = 160
_SAME, _OTHER = "tab:green", "tab:gray"


def write_sheet(
    path: Path, index: ImageIndex, queries: Sequence[Path], found: Sequence[Sequence[Found]]
) -> None:
    """One line a query: the query, then what was found, green where it is the same.

    Args:
        path: A .png.
        index: Where the images were found.
        queries: Files of the queries.
        found: Of each query.

    Raises:
        OSError: The picture could not be written.
    """
    rows = [
        [
            Panel(thumbnail(query), [Line(query.name), Line("query")]),
            *(_panel(index, image) for image in images),
        ]
        for query, images in zip(queries, found, strict=True)
    ]
    with replacing(path) as fresh:
        draw_sheet(rows).savefig(fresh, format="png", dpi=110, metadata={"Software": None})


def thumbnail(file: Path, side: int = _SIDE) -> UInt8[Tensor, "3 h w"]:
    """A picture whose longer side is at most so many pixels; a grey one where it cannot be read."""
    try:
        picture = read_picture(file, least_side=side)
    except ValueError:
        return torch.full((3, side, side), 200, dtype=torch.uint8)
    height, width = picture.shape[1:]
    scale = min(1.0, side / max(height, width))
    size = [max(1, round(height * scale)), max(1, round(width * scale))]
    small: UInt8[Tensor, "3 h w"] = resize(picture, size, antialias=True)
    return small


def _panel(index: ImageIndex, image: Found) -> Panel:
    file = index.path(image.row)
    similar = Line(f"similarity {image.similarity:.3f}")
    words = [Line(file.name), similar] if file.is_file() else [Line("(file is gone)"), similar]
    frame = None if image.same is None else _SAME if image.same else _OTHER
    return Panel(thumbnail(file), words, frame)
