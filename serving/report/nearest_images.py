"""The nearest images of images, by their vectors."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int

from ranklight.running.file_progress import file_progress
from ranklight.search import Embedded, neighbour_lists


class Nearest(NamedTuple):
    """The k nearest images of each image, nearest first.

    Attributes:
        rows: Which they are; −1 past the end.
        similarities: S = 1 − ½‖z − r‖² of each, the cosine for vectors of length 1.
    """

    rows: Int[np.ndarray, "n k"]
    similarities: Float[np.ndarray, "n k"]


def nearest_images(
    queries: Float[np.ndarray, "n d"],
    gallery: Float[np.ndarray, "m d"] | None,
    k: int,
    stage: str,
) -> Nearest:
    """Exact lists, by the rules of `search.ExactSearch`.

    Args:
        queries: What to find neighbours of.
        gallery: Where to look; None: among the queries, without each one itself.
        k: How many.
        stage: What the progress bar calls it.
    """
    asking = Embedded(torch.from_numpy(queries))
    among = None if gallery is None else Embedded(torch.from_numpy(gallery))
    found = np.full((len(queries), k), -1)
    counts = torch.full((len(queries),), k)
    with file_progress(stage, len(queries)) as advance:
        for row, lists in neighbour_lists(asking, among, counts):
            found[row.numpy()] = lists[:, :k].numpy()
            advance(len(row))
    others = queries if gallery is None else gallery
    return Nearest(found, _similarities(queries, others, found))


def _similarities(
    queries: Float[np.ndarray, "n d"],
    others: Float[np.ndarray, "m d"],
    found: Int[np.ndarray, "n k"],
) -> Float[np.ndarray, "n k"]:
    similarities = np.full(found.shape, np.nan, np.float32)
    for place in range(found.shape[1]):
        rows = np.flatnonzero(found[:, place] >= 0)
        apart = queries[rows] - others[found[rows, place]]
        similarities[rows, place] = 1 - (apart * apart).sum(1) / 2
    return similarities
