"""Pairs of hashes that differ in a few bits, without comparing all of them."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int, UInt64
from numpy.typing import NDArray

_LONG = 1024
_DIVISIONS = 2
_BLOCK = 1 << 14

Pairs = Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]


def near_pairs(hashes: UInt64[np.ndarray, "n"], radius: int = 4) -> Pairs:
    """Pairs of positions whose hashes differ in at most `radius` bits, some of them repeatedly.

    Of radius + 1 bands of bits, two such hashes have one in common (pigeonhole), so only those that
    share a band are compared, after a sort by each band in turn: multi-index hashing, Norouzi,
    Punjani, Fleet, CVPR 2012. A band that more than 1,024 share is divided by the other bits, twice
    at most; where that still leaves more, each is compared with the next 1,024 only. So memory is
    O(n) and time close to it, whatever the hashes.

        >>> [first.tolist() + second.tolist() for first, second in
        ...  near_pairs(np.array([0, 1, 2**64 - 1], dtype=np.uint64), radius=1)][0]
        [0, 1]

    Args:
        hashes: 64 bits each.
        radius: Bits that may differ; a larger one finds more and takes much longer.
    """
    bits = np.arange(64, dtype=np.uint64)
    # Equal hashes stay neighbours in every sort below, which is stable.
    return _sharing_a_band(hashes, np.argsort(hashes, kind="stable"), bits, radius, _DIVISIONS)


def _sharing_a_band(
    hashes: UInt64[np.ndarray, "n"],
    rows: Int[np.ndarray, "r"],
    bits: UInt64[np.ndarray, "b"],
    radius: int,
    divisions: int,
) -> Pairs:
    """The near pairs among some rows, which agree in all bits but those given."""
    for band in np.array_split(bits, radius + 1):
        keys = hashes[rows] & np.bitwise_or.reduce(np.uint64(1) << band)
        order = np.argsort(keys, kind="stable")
        starts = np.flatnonzero(np.diff(keys[order], prepend=~keys[order[:1]]))
        sizes = np.diff(starts, append=len(rows))
        divided = (sizes > _LONG) & (divisions > 0)
        others = np.setdiff1d(bits, band)
        reaches = np.where(divided, 0, sizes)
        for start, size in zip(starts[divided], sizes[divided], strict=True):
            run = rows[order[start : start + size]]
            yield from _sharing_a_band(hashes, run, others, radius, divisions - 1)
        if len(rows):
            yield from _among_the_next(hashes, rows[order], np.repeat(reaches, sizes), radius)


def _among_the_next(
    hashes: UInt64[np.ndarray, "n"],
    rows: Int[np.ndarray, "r"],
    sizes: Int[np.ndarray, "r"],
    radius: int,
) -> Pairs:
    """The near pairs among rows that are no further apart than the longest run about them."""
    ordered = hashes[rows]
    for start in range(0, len(rows), _BLOCK):
        # Comparing all of a block is cheaper than choosing those that share a run.
        block = ordered[start : start + _BLOCK]
        reach = min(int(sizes[start : start + _BLOCK].max()), _LONG + 1, len(rows) - start)
        for offset in range(1, reach):
            other = ordered[start + offset : start + offset + _BLOCK]
            differing = np.bitwise_count(block[: len(other)] ^ other)
            near = np.flatnonzero(differing <= radius) + start
            if len(near):
                yield rows[near], rows[near + offset]
