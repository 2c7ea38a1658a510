"""Figures in files."""

from pathlib import Path
from typing import TYPE_CHECKING

from ranklight.files.writing import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_figure(figure: "Figure", path: Path, dpi: int) -> None:
    """Draw a figure into a file, all or nothing, in the format of its ending.

    Raises:
        OSError: It could not be written; names the file.
    """
    with replacing(path) as fresh:
        figure.savefig(fresh, format=path.suffix.removeprefix(".").lower(), dpi=dpi)
