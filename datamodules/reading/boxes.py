"""Boxes in pictures, compared with the sizes that the pictures' headers tell."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from ranklight.datamodules.reading.annotations import Location
from ranklight.datamodules.reading.pictures import Box, picture_size

SIDES = ("x1", "y1", "x2", "y2")
"""The columns of a box, in pixels of the upright picture."""
_THREADS = 16


def check_boxes(
    files: Sequence[str], boxes: Float[np.ndarray, "files 4"], locations: Sequence[Location]
) -> None:
    """Refuse boxes x1, y1, x2, y2, in pixels of the upright picture, that are not in it.

    Raises:
        ValueError: A box outside the picture, or without an inside, which names the first; or boxes
            in shares of the picture.
    """
    if (boxes >= 0).all() and (boxes <= 1).all() and (boxes % 1 != 0).any():
        raise ValueError(
            f"{locations[0]}: boxes are in pixels, and all sides here are of 0..1, as shares of a "
            "picture are: multiply x by its width and y by its height"
        )
    names = sorted(set(files))
    with ThreadPoolExecutor(_THREADS) as pool:
        size = dict(zip(names, pool.map(picture_size, names), strict=True))
    sizes = np.array([size[file] for file in files], np.float64)
    inside = (boxes[:, :2] >= 0).all(1) & (boxes[:, 2:] <= sizes).all(1)
    broken = ~inside | (boxes[:, :2] >= boxes[:, 2:]).any(1)
    if broken.any():
        row = int(broken.argmax())
        width, height = sizes[row].astype(int)
        raise ValueError(
            f"{locations[row]}: the box {', '.join(f'{side:g}' for side in boxes[row])} needs 0 ≤ "
            f"x1 < x2 ≤ {width} and 0 ≤ y1 < y2 ≤ {height} in {files[row]} ({broken.sum()} of "
            f"{len(files)} boxes are not in their pictures)"
        )


def cut_to_pictures(
    files: Sequence[str], boxes: Float[np.ndarray, "files 4"]
) -> Float[np.ndarray, "files 4"]:
    """Boxes without what reaches beyond the picture, as hand-drawn ones do by a pixel or two.

    A file that is not there keeps its box: whoever looks for files will say so.

    Args:
        files: Of each box.
        boxes: x1, y1, x2, y2 in pixels of the upright picture.
    """
    names = [file for file in sorted(set(files)) if Path(file).is_file()]
    with ThreadPoolExecutor(_THREADS) as pool:
        size = dict(zip(names, pool.map(picture_size, names), strict=True))
    sizes = np.array([size.get(file, (np.inf, np.inf)) for file in files], np.float64)
    cut: NDArray[np.float64] = np.clip(boxes, 0, np.hstack([sizes, sizes]))
    return cut


def whole_pixels(boxes: Float[np.ndarray, "boxes 4"]) -> list[Box]:
    """The smallest boxes of whole pixels around boxes."""
    whole = np.hstack([np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])]).astype(np.int64)
    return [(left, top, right, bottom) for left, top, right, bottom in whole.tolist()]
