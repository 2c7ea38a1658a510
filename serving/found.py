"""The images that were found for a query, and how they are told."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from ranklight.datamodules.reading.pictures import Box
from ranklight.serving.image_index import ImageIndex


class Found(NamedTuple):
    """An image that was found.

    Args:
        file: Its name in the index.
        row: Its row.
        distance: d, between the embeddings.
        similarity: S = 1 − ½ d².
        same: Whether it is taken for the same class; None without a threshold.
        box: The part of the file that it is; None for the whole.
    """

    file: str
    row: int
    distance: float
    similarity: float
    same: bool | None
    box: Box | None = None


def found_images(
    index: ImageIndex,
    similarities: Float[np.ndarray, "n k"],
    rows: Int[np.ndarray, "n k"],
    threshold: float | None = None,
) -> Iterator[list[Found]]:
    """Of each query what was found, nearest first.

    Args:
        index: That was searched.
        similarities: As it gave them.
        rows: Likewise; −1 is left out.
        threshold: In place of the index's own.
    """
    threshold = index.threshold if threshold is None else threshold
    names = index.files["file"]
    for near, places in zip(similarities.tolist(), rows.tolist(), strict=True):
        yield [
            Found(
                names[row].as_py(),
                row,
                max(0.0, 2 - 2 * similarity) ** 0.5,
                similarity,
                None if threshold is None else similarity >= threshold,
                index.box(row),
            )
            for similarity, row in zip(near, places, strict=True)
            if row >= 0
        ]


def as_json(query: str, found: Sequence[Found]) -> dict[str, Any]:
    """A query and what was found, as JSON has it; a box only where there is one."""
    images = [image._asdict() for image in found]
    for image in images:
        if image["box"] is None:
            del image["box"]
    return {"query": query, "found": images}
