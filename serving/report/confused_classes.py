"""Which classes are taken for which: the class of each query's nearest neighbour."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ranklight.serving.report.nearest_images import Nearest


class Confusion(NamedTuple):
    """A class that is taken for another.

    Attributes:
        of: The class of the queries.
        taken_for: The class of what is nearest to them.
        confused: How many queries these are.
        queries: How many queries the class has.
        examples: Rows of such queries, those first whose wrong neighbour is most similar.
    """

    of: str
    taken_for: str
    confused: int
    queries: int
    examples: list[int]


def confused_classes(classes: Sequence[str], nearest: Nearest) -> list[Confusion]:
    """Pairs of classes by how often the first one's images have the other as nearest neighbour.

    Args:
        classes: Of each image.
        nearest: The neighbours of each image among the same images.
    """
    sizes = Counter(classes)
    pairs: dict[tuple[str, str], list[int]] = {}
    for row in np.argsort(-nearest.similarities[:, 0], kind="stable"):
        neighbour = nearest.rows[row, 0]
        if neighbour >= 0 and classes[neighbour] != classes[row]:
            pairs.setdefault((classes[row], classes[neighbour]), []).append(int(row))
    found = [
        Confusion(of, other, len(rows), sizes[of], rows) for (of, other), rows in pairs.items()
    ]
    return sorted(found, key=lambda pair: (-pair.confused, pair.queries, pair[:2]))


class MissedLabel(NamedTuple):
    """How often a label is missed, and given in vain.

    Attributes:
        label: Its name.
        images: How many images have it.
        missed: How many of these were not given it.
        in_vain: How many were given it that do not have it.
    """

    label: str
    images: int
    missed: int
    in_vain: int


def missed_labels(labels: Sequence[set[str]], decided: Sequence[set[str]]) -> list[MissedLabel]:
    """Labels by how often they were decided wrongly, the most often first.

    Args:
        labels: Those that each image has.
        decided: Those that the model gave it.
    """
    images = Counter(name for of in labels for name in of)
    missed, in_vain = (
        Counter(name for one, other in zip(*sides, strict=True) for name in one - other)
        for sides in ((labels, decided), (decided, labels))
    )
    found = [
        MissedLabel(name, images[name], missed[name], in_vain[name]) for name in {*images, *in_vain}
    ]
    return sorted(found, key=lambda of: (-of.missed - of.in_vain, of.label))
