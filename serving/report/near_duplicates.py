"""Images of different splits that are nearly the same."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ranklight.datamodules.examination import perceptual_hash
from ranklight.datamodules.reading.pictures import Box, read_picture
from ranklight.running.file_progress import file_progress
from ranklight.serving.report.nearest_images import nearest_images

SAME_PICTURE = 4
"""Bits of the perceptual hash in which copies differ at most, as `ranklight doctor` has it."""

_NEIGHBOURS = 3
_UNKNOWN = 65


class NearDuplicate(NamedTuple):
    """Two images of different splits.

    Attributes:
        first: Which image.
        second: Which other one.
        cosine: Of their vectors.
        bits: In how many of 64 bits their perceptual hashes differ: 0 to 4 for a copy of another
            size or quality, about 32 for unrelated pictures; None where one cannot be read.
    """

    first: int
    second: int
    cosine: float
    bits: int | None


def near_pairs_across(
    matrix: Float[np.ndarray, "n d"], splits: Sequence[str], threshold: float
) -> list[NearDuplicate]:
    """Pairs of images of different splits whose cosine is at least a threshold, highest first.

    Of each image the three nearest in each other split are looked at.

    Args:
        matrix: A vector an image.
        splits: Of each image.
        threshold: A higher one finds fewer.
    """
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    unit = matrix / np.maximum(lengths, np.finfo(np.float32).tiny)
    of = np.array(splits)
    names = sorted(set(splits))
    pairs: dict[tuple[int, int], float] = {}
    for place, name in enumerate(names):
        for other in names[place + 1 :]:
            one, two = np.flatnonzero(of == name), np.flatnonzero(of == other)
            k = min(_NEIGHBOURS, len(two))
            nearest = nearest_images(unit[one], unit[two], k, f"copies in {name} and {other}")
            for row, column in np.argwhere(nearest.similarities >= threshold):
                pair = (int(one[row]), int(two[nearest.rows[row, column]]))
                pairs[pair] = float(nearest.similarities[row, column])
    found = [NearDuplicate(*pair, cosine, None) for pair, cosine in pairs.items()]
    return sorted(found, key=lambda pair: (-pair.cosine, pair.first, pair.second))


def with_hashes(
    pairs: Sequence[NearDuplicate], locate: Callable[[int], tuple[Path | None, Box | None]]
) -> list[NearDuplicate]:
    """The same pairs with the bits in which their pictures differ, the most alike first.

    Args:
        pairs: Whose pictures are read, each once.
        locate: The file of an image, and the part of it that it is.
    """
    images = sorted({image for pair in pairs for image in (pair.first, pair.second)})
    hashes: dict[int, int | None] = {}
    with file_progress("pictures of pairs", len(images)) as advance:
        for image in images:
            hashes[image] = _hash(*locate(image))
            advance(1)
    found = []
    for pair in pairs:
        one, two = hashes[pair.first], hashes[pair.second]
        known = one is not None and two is not None
        found.append(pair._replace(bits=(one ^ two).bit_count() if known else None))  # type: ignore[operator]
    return sorted(found, key=lambda of: (_UNKNOWN if of.bits is None else of.bits, -of.cosine))


def _hash(file: Path | None, box: Box | None) -> int | None:
    if file is None:
        return None
    try:
        return perceptual_hash(read_picture(file, box=box))
    except ValueError:
        return None
