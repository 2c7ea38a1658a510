"""Pairs of hashes that differ in a few bits, without comparing all of them."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int, UInt64
from numpy.typing import NDArray

_LONG = 4096

Pairs = Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]


def near_pairs(hashes: UInt64[np.ndarray, "n"], radius: int = 4) -> Pairs:
    """Pairs of positions whose hashes differ in at most `radius` bits, some of them repeatedly.

    Of radius + 1 bands of bits, two such hashes have one in common (pigeonhole), so only those that
    share a band are compared, after a sort by each band in turn: multi-index hashing, Norouzi,
    Punjani, Fleet, CVPR 2012. A band that many share is divided again by the other bits. Memory is
    O(n), time close to it unless most pairs are near: of more than 4,096 hashes that cannot be
    told apart each is compared with the next 4,096 only.

        >>> [first.tolist() + second.tolist() for first, second in
        ...  near_pairs(np.array([0, 1, ~0], dtype=np.uint64), radius=1)]
        [[0, 1]]

    Args:
        hashes: 64 bits each.
        radius: Bits that may differ; a larger one finds more and takes much longer.
    """
    bits = np.arange(64, dtype=np.uint64)
    return _sharing_a_band(hashes, np.arange(len(hashes)), bits, radius)


def _sharing_a_band(
    hashes: UInt64[np.ndarray, "n"],
    rows: Int[np.ndarray, "r"],
    bits: UInt64[np.ndarray, "b"],
    radius: int,
) -> Pairs:
    """The near pairs among some rows, which agree in all bits but those given."""
    for band in np.array_split(bits, radius + 1):
        keys = hashes[rows] & np.bitwise_or.reduce(np.uint64(1) << band)
        order = np.argsort(keys, kind="stable")
        starts = np.flatnonzero(np.diff(keys[order], prepend=~keys[order[:1]]))
        sizes = np.diff(starts, append=len(rows))
        others = np.setdiff1d(bits, band)
        divided = (sizes > _LONG) & (len(others) > radius)
        for start, size in zip(starts[divided], sizes[divided], strict=True):
            yield from _sharing_a_band(
                hashes, rows[order[start : start + size]], others, radius
            )
        ends = np.where(divided, 0, starts + sizes)
        yield from _within_runs(hashes, rows[order], np.repeat(ends, sizes), radius)


def _within_runs(
    hashes: UInt64[np.ndarray, "n"],
    rows: Int[np.ndarray, "r"],
    ends: Int[np.ndarray, "r"],
    radius: int,
) -> Pairs:
    """The near pairs among neighbouring rows, each with those before the end of its run."""
    ordered = hashes[rows]
    place = np.arange(len(rows))
    for offset in range(1, _LONG + 1):
        place = place[place + offset < ends[place]]
        if not len(place):
            return
        differing = np.bitwise_count(ordered[place] ^ ordered[place + offset])
        near = place[differing <= radius]
        if len(near):
            yield rows[near], rows[near + offset]
