"""Images sorted by class, and classes and images drawn at random."""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt
from numpy.typing import NDArray

from ranklight.datamodules.randomness import random_bits, uniform
from ranklight.kernels.checks import check_choice

ShortClasses = Literal["repeat", "drop", "error"]


class ByClass(NamedTuple):
    """Images sorted by class.

    Args:
        images: All of them, class after class.
        starts: Where each class begins among them.
        counts: How many images each has.
        classes: The class index of each.
    """

    images: Int[np.ndarray, "n"]
    starts: Int[np.ndarray, "c"]
    counts: Int[np.ndarray, "c"]
    classes: Int[np.ndarray, "c"]

    def draw(
        self, ranks: Int[np.ndarray, "*shape"], k: int, streams: UInt[np.ndarray, "*shape"]
    ) -> Int[np.ndarray, "*shape k"]:
        """Draw k images of each of these classes, all different where it has as many.

        Args:
            ranks: Which classes, by their position here.
            k: How many of each.
            streams: The random numbers of each.
        """
        numbers = distinct_numbers(streams.ravel(), self.counts[ranks.ravel()], k)
        images: NDArray[np.int64] = self.images[self.starts[ranks.ravel(), None] + numbers]
        return images.reshape(*ranks.shape, k)


def by_class(labels: Int[np.ndarray, "n"]) -> ByClass:
    """The images of each class, classes in the order of their indices.

    Example:
        >>> by_class(np.array([7, 5, 7])).images, by_class(np.array([7, 5, 7])).counts
        (array([1, 0, 2]), array([1, 2]))
    """
    images = np.argsort(labels, kind="stable")
    classes, starts, counts = np.unique(labels[images], return_index=True, return_counts=True)
    return ByClass(images, starts, counts, classes)


def large_enough(
    found: ByClass, classes_per_batch: int, samples_per_class: int, short_classes: ShortClasses
) -> ByClass:
    """The classes that batches of P classes with K images can be drawn from.

    Raises:
        ValueError: Fewer classes than P, K larger than every class, or a class with fewer than K
            images under "error".
    """
    check_choice(ShortClasses, short_classes=short_classes)
    needed, counts = samples_per_class, found.counts
    if counts.max() < needed:
        raise ValueError(
            f"samples_per_class is {needed}, but the largest class has {counts.max()} images"
        )
    short = counts < needed
    if short_classes == "error" and short.any():
        raise ValueError(
            f"samples_per_class is {needed}, but {short.sum()} of {len(counts)} classes have "
            f"fewer images; the smallest, class {found.classes[counts.argmin()]}, has "
            f"{counts.min()}"
        )
    if short_classes == "drop":
        kept = (each[~short] for each in (found.starts, counts, found.classes))
        found = ByClass(found.images, *kept)
    if len(found.counts) < classes_per_batch:
        usable = f" with at least {needed} images" if short_classes == "drop" else ""
        raise ValueError(
            f"classes_per_batch is {classes_per_batch}, but there are only "
            f"{len(found.counts)} classes{usable}: give at most so many, or hold out fewer"
        )
    return found


def distinct_numbers(
    streams: UInt[np.ndarray, "r"], below: Int[np.ndarray, "r"], k: int
) -> Int[np.ndarray, "r k"]:
    """Draw k numbers of 0..below − 1 a row: different ones, or all about equally often.

    Floyd's sampling (Bentley, Floyd, Programming Pearls, CACM 30(9), 1987): every set is equally
    likely, for k random numbers however many there are to choose from. Then they are shuffled.

    Args:
        streams: The random numbers of each row.
        below: What the numbers are below, 1 or more.
        k: How many.
    """
    drawn = np.empty((len(streams), k), np.int64)
    for column in range(k):
        last = below - k + column
        picked = (uniform(streams, column) * (last + 1)).astype(np.int64)
        again = (drawn[:, :column] == picked[:, None]).any(1)
        drawn[:, column] = np.where(again, last, picked)
    # Earlier columns are drawn of fewer numbers.
    order = random_bits(streams[:, None], k + 1 + np.arange(k)).argsort(1)
    drawn = np.take_along_axis(drawn, order, 1)
    few = below < k
    start = (uniform(streams[few], k) * below[few]).astype(np.int64)
    drawn[few] = (start[:, None] + np.arange(k)) % below[few, None]
    return drawn


def by_size(counts: Int[np.ndarray, "c"], power: float) -> Float[np.ndarray, "c"]:
    """The weight n^power of each count n.

    Raises:
        ValueError: A power that is not between −10 and 10, where weights would overflow.
    """
    if not -10 <= power <= 10:
        raise ValueError(f"power must be between -10 and 10, such as 0, 0.5 or 1; got {power}")
    weights: NDArray[np.float64] = counts.astype(np.float64) ** power
    return weights


def weighted_order(
    weights: Float[np.ndarray, "c"], stream: UInt[np.ndarray, "1"], count: int
) -> Int[np.ndarray, "count"]:
    """Different numbers, each next one drawn in proportion to its weight among those left.

    Efraimidis, Spirakis: Weighted random sampling with a reservoir, Information Processing Letters
    97(5), 2006: the smallest of exponential variables with these rates.

    Args:
        weights: Above 0, one for each of the numbers 0, 1, ...
        stream: The random numbers.
        count: How many, at most as many as there are weights.
    """
    keys = -np.log1p(-uniform(stream, np.arange(len(weights)))) / weights
    return np.argsort(keys, kind="stable")[:count]


def first_distinct(candidates: Int[np.ndarray, "m"], count: int) -> Int[np.ndarray, "_"]:
    """The first of the candidates, none twice; −1 is none."""
    there = candidates[candidates >= 0]
    _, first = np.unique(there, return_index=True)
    return there[np.sort(first)][:count]


def shuffled_passes(
    turns: Int[np.ndarray, "*shape"], size: int, *words: int
) -> Int[np.ndarray, "*shape"]:
    """What stands at these turns of an endless stream, one shuffle of 0..size − 1 after the other.

    Args:
        turns: Places in the stream; those asked for at once should lie in few passes.
        size: How many numbers are shuffled.
        words: What the random numbers of each pass are of.
    """
    numbers, places = np.divmod(turns, size)
    drawn = np.empty_like(turns)
    everything = np.arange(size)
    for number in np.unique(numbers):
        order = np.lexsort((everything, random_bits(*words, int(number), everything)))
        here = numbers == number
        drawn[here] = order[places[here]]
    return drawn
