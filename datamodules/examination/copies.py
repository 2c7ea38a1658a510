"""Images that are copies of each other where they should not be."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int, Shaped
from numpy.typing import NDArray

from ranklight.datamodules.examination.near_copies import near_pairs
from ranklight.datamodules.examination.pictures import Pictures

_COLOURS_APART = 24.0

Earlier = Int[np.ndarray, "n"]


class Copies(NamedTuple):
    """For each image an earlier one that it is a copy of, or −1.

    Attributes:
        exact_in_another_split: The same bytes, and the same box in them, in another split.
        exact_with_other_labels: The same, in any split, with other labels.
        near_in_another_split: A picture that looks the same, of other bytes, in another split.
        near_with_other_labels: The same, in any split, with other labels.
    """

    exact_in_another_split: Earlier
    exact_with_other_labels: Earlier
    near_in_another_split: Earlier
    near_with_other_labels: Earlier


def find_copies(
    pictures: Pictures,
    splits: Int[np.ndarray, "n"],
    labels: Shaped[np.ndarray, "n ..."],
    indices: Int[np.ndarray, "n"],
    radius: int = 4,
) -> Copies:
    """Copies of each other, in O(n) memory.

    Files of the same bytes stand for each other when near copies are looked for: of them the first
    is compared. Pictures of one colour have no near copies.

    Args:
        pictures: What was seen of all splits, one after the other.
        splits: The number of each image's split.
        labels: One entry an image.
        indices: Which images of the data set these are; one that is in two splits, such as a query
            that is in its gallery, is no copy of itself.
        radius: Bits of the perceptual hash that may differ.
    """
    found = Copies(*(np.full(len(splits), -1) for _ in Copies._fields))

    def keep(first: NDArray[np.int64], second: NDArray[np.int64], exact: bool) -> None:
        first, second = np.minimum(first, second), np.maximum(first, second)
        apart = indices[first] != indices[second]
        elsewhere = apart & (splits[first] != splits[second])
        relabelled = apart & _differ(labels, first, second)
        across, other = found[:2] if exact else found[2:]
        across[second[elsewhere]] = first[elsewhere]
        other[second[relabelled]] = first[relabelled]

    firsts = _first_of_same_content(pictures)
    same = np.flatnonzero(pictures.readable & (firsts != np.arange(len(firsts))))
    keep(firsts[same], same, exact=True)
    alone = pictures.readable & ~pictures.uniform & (firsts == np.arange(len(firsts)))
    rows = np.flatnonzero(alone)
    for one, other in near_pairs(pictures.hashes[rows], radius):
        alike = _are_alike(pictures, rows[one], rows[other])
        keep(rows[one][alike], rows[other][alike], exact=False)
    return found


def _first_of_same_content(pictures: Pictures) -> Int[np.ndarray, "n"]:
    order = np.lexsort(pictures.content.T)
    ordered = pictures.content[order]
    new = np.ones(len(order), bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(1)
    starts = np.flatnonzero(new)
    firsts = np.empty_like(order)
    firsts[order] = order[starts[np.cumsum(new) - 1]]
    return firsts


def _are_alike(
    pictures: Pictures, first: Int[np.ndarray, "p"], second: Int[np.ndarray, "p"]
) -> Bool[np.ndarray, "p"]:
    """Whether their colours are: a hash of greys takes one flag for another."""
    colours = pictures.colours
    apart = np.abs(colours[first].astype(np.int16) - colours[second])
    alike: NDArray[np.bool_] = apart.mean(1) <= _COLOURS_APART
    return alike


def _differ(
    labels: Shaped[np.ndarray, "n ..."],
    first: Int[np.ndarray, "p"],
    second: Int[np.ndarray, "p"],
) -> Bool[np.ndarray, "p"]:
    columns = labels.reshape(len(labels), -1)
    different: NDArray[np.bool_] = (columns[first] != columns[second]).any(1)
    return different
