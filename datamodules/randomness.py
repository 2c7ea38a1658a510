"""Random numbers that are pure functions of what they are for, in any process."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

Word = int | NDArray[np.int64] | NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def random_bits(*words: Word) -> NDArray[np.uint64]:
    """64 random bits for each combination of the words, which are broadcast against each other.

    The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014) after each word. Unlike NumPy's
    and torch's generators it is the same in every version, and whole arrays cost a few operations.
    """
    state = np.zeros(1, dtype=np.uint64)
    for word in words:
        state = (state ^ np.asarray(word).astype(np.uint64)) + _GOLDEN
        state = (state ^ (state >> np.uint64(30))) * _FIRST
        state = (state ^ (state >> np.uint64(27))) * _SECOND
        state ^= state >> np.uint64(31)
    return state


def uniform(*words: Word) -> NDArray[np.float64]:
    """A random number of [0, 1) for each combination of the words."""
    return (random_bits(*words) >> np.uint64(11)).astype(np.float64) * np.float64(2**-53)


def image_seed(seed: int, epoch: int | None, index: int) -> int:
    """The seed of one image's augmentation in one epoch; without an epoch, of its evaluation."""
    return int(random_bits(seed, -1 if epoch is None else epoch, index)[0])


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Global generators start from `seed` inside, and go on outside as if nothing happened.

    Torch's on the CPU, Python's and NumPy's: transforms draw from them, torchvision's v2 from the
    first, others from any.
    """
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()  # noqa: NPY002
    torch.default_generator.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    try:
        yield
    finally:
        torch.set_rng_state(before[0])
        random.setstate(before[1])
        np.random.set_state(before[2])  # noqa: NPY002
