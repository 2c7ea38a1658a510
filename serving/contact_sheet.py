"""A picture of queries, each beside what was found for it."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor

from ranklight.datamodules.reading.pictures import Box
from ranklight.files.writing import replacing
from ranklight.running.picture_sheet import Line, Panel, draw_sheet
from ranklight.serving.found import Found
from ranklight.serving.image_index import ImageIndex
from ranklight.serving.thumbnails import thumbnail

_SIDE = 160
_SAME, _OTHER = "tab:green", "tab:gray"


def write_sheet(
    path: Path,
    index: ImageIndex,
    queries: Sequence[tuple[Path, Box | None]],
    found: Sequence[Sequence[Found]],
) -> None:
    """One line a query: the query, then what was found, green where it is the same.

    Args:
        path: A .png.
        index: Where the images were found.
        queries: Their files, and which part of each it was.
        found: Of each query.

    Raises:
        OSError: The picture could not be written.
    """
    rows = [
        [
            Panel(_picture(file, box), [Line(file.name), Line("query")]),
            *(_panel(index, image) for image in images),
        ]
        for (file, box), images in zip(queries, found, strict=True)
    ]
    with replacing(path) as fresh:
        draw_sheet(rows).savefig(fresh, format="png", dpi=110, metadata={"Software": None})


def _picture(file: Path, box: Box | None) -> UInt8[Tensor, "3 h w"]:
    """A small picture; a grey one where it cannot be read."""
    try:
        small: UInt8[Tensor, "3 h w"] = pil_to_tensor(thumbnail(file, _SIDE, box))
    except ValueError:
        return torch.full((3, _SIDE, _SIDE), 200, dtype=torch.uint8)
    return small


def _panel(index: ImageIndex, image: Found) -> Panel:
    file = index.path(image.row)
    similar = Line(f"similarity {image.similarity:.3f}")
    words = [Line(file.name), similar] if file.is_file() else [Line("(file is gone)"), similar]
    frame = None if image.same is None else _SAME if image.same else _OTHER
    return Panel(_picture(file, image.box), words, frame)
