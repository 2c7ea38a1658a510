"""Sheets of pictures: a grid of them, each with a frame and lines of words beneath."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

_LONGEST, _FONT, _LINE = 24, 6, 0.12
_CELL, _BORDER = 1.25, 0.4


class Line(NamedTuple):
    """A line of words beneath a picture."""

    text: str
    colour: str = "black"


class Panel(NamedTuple):
    """A picture of a sheet.

    Args:
        image: Grey or RGB: uint8, or floats of 0..1.
        lines: What stands beneath.
        frame: Colour of the frame; None is no frame.
    """

    image: UInt8[Tensor, "c h w"] | Float[Tensor, "c h w"]
    lines: Sequence[Line]
    frame: Any = None


def draw_sheet(rows: Sequence[Sequence[Panel]]) -> Any:
    """The matplotlib figure of a grid of panels; rows may be of different lengths."""
    from matplotlib.figure import Figure

    columns = max(len(row) for row in rows)
    lines = sum(max(len(panel.lines) for panel in row) for row in rows)
    height = _CELL * len(rows) + _LINE * lines
    size = (_CELL * columns + _BORDER, height + _BORDER)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for cells, row in zip(grid, rows, strict=True):
        for axes in cells[len(row) :]:
            axes.set_axis_off()
        for axes, panel in zip(cells, row, strict=False):
            _draw(axes, panel)
    return figure


def _draw(axes: Any, panel: Panel) -> None:
    image = panel.image.float() / (255 if panel.image.dtype == torch.uint8 else 1)
    grey = len(image) == 1
    # Fixed limits: matplotlib would stretch a grey image from its darkest to its lightest pixel.
    shown = image[0] if grey else image.permute(1, 2, 0)
    axes.imshow(shown.cpu(), cmap="gray" if grey else None, vmin=0, vmax=1)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(panel.frame is not None)
        spine.set(color=panel.frame, linewidth=3)
    for number, line in enumerate(panel.lines):
        text = line.text if len(line.text) <= _LONGEST else f"{line.text[: _LONGEST - 1]}…"
        axes.annotate(
            text,
            (0.5, 0),
            (0, -4 - 72 * _LINE * number),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=_FONT,
            color=line.colour,
            annotation_clip=False,
            parse_math=False,
        )
