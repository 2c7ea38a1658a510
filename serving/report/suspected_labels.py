"""Images whose neighbours agree on another class than theirs."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from ranklight.serving.report.nearest_images import Nearest

_FEWEST = 3


class Suspect(NamedTuple):
    """An image whose label may be wrong.

    Attributes:
        row: Which image.
        given: Its class.
        proposed: The class on which its neighbours agree.
        agreement: How many of the neighbours that were asked are of that class, 0..1.
        asked: How many neighbours were asked.
        similarity: The mean similarity of those that agree.
    """

    row: int
    given: str
    proposed: str
    agreement: float
    asked: int
    similarity: float


def suspected_labels(
    classes: Sequence[str], nearest: Nearest, agreement: float = 0.8
) -> list[Suspect]:
    """Images whose nearest neighbours agree on another class, the most suspicious first.

        some c' ≠ c with  #{i : c_i = c'} ≥ agreement · q,  i among the nearest q = min(k, n_c − 1)

    The rule of edited nearest neighbours, Wilson: Asymptotic Properties of Nearest Neighbor Rules
    Using Edited Data, 1972, which takes the majority of 3 neighbours; as a search for label errors
    by the features of a trained network, Zhu, Dong, Liu: Detecting Corrupted Labels Without
    Training a Model to Predict, ICML 2022, arXiv 2110.06283. We ask for more than a majority, and
    ask no more neighbours than an image's own class could give, so that a small class beside a
    large one is not suspected as a whole. Classes of fewer than 3 images are not judged.

    Args:
        classes: Of each image.
        nearest: The neighbours of each image among all.
        agreement: Share of the neighbours that must be of one other class; more suspects fewer.
    """
    sizes = Counter(classes)
    found = []
    for row, given in enumerate(classes):
        if sizes[given] < _FEWEST:
            continue
        asked = [other for other in nearest.rows[row] if other >= 0][: sizes[given] - 1]
        (proposed, votes), *_ = Counter(classes[other] for other in asked).most_common(1)
        if proposed != given and votes >= agreement * len(asked):
            agreeing = [
                float(nearest.similarities[row, place])
                for place, other in enumerate(asked)
                if classes[other] == proposed
            ]
            similarity = sum(agreeing) / votes
            share = votes / len(asked)
            found.append(Suspect(row, given, proposed, share, len(asked), similarity))
    return sorted(found, key=lambda of: (-of.agreement, -of.asked, -of.similarity, of.row))


def not_judged(classes: Sequence[str]) -> int:
    """How many images are of classes too small to judge."""
    return sum(size for size in Counter(classes).values() if size < _FEWEST)
