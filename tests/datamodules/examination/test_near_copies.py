import numpy as np
import pytest

from ranklight.datamodules.examination import near_copies, near_pairs


def found(hashes, radius):
    pairs = {
        (min(a, b), max(a, b))
        for one, other in near_pairs(hashes, radius)
        for a, b in zip(one.tolist(), other.tolist(), strict=True)
    }
    return sorted(pairs)


def brute_force(hashes, radius):
    return [
        (i, j)
        for i in range(len(hashes))
        for j in range(i + 1, len(hashes))
        if int(hashes[i] ^ hashes[j]).bit_count() <= radius
    ]


def with_neighbours(draw, count, flips):
    """Random hashes, each once more with some bits flipped."""
    hashes = draw.integers(0, 2**64, count, dtype=np.uint64)
    bits = draw.integers(0, 64, (count, flips)).astype(np.uint64)
    return np.concatenate([hashes, hashes ^ np.bitwise_or.reduce(np.uint64(1) << bits, axis=1)])


@pytest.mark.parametrize("radius", [0, 1, 4, 6])
def test_all_pairs_within_the_radius_and_no_others(radius):
    hashes = with_neighbours(np.random.default_rng(0), 150, 6)
    assert found(hashes, radius) == brute_force(hashes, radius)


@pytest.mark.parametrize("long", [8, 20])
def test_a_band_that_many_share_is_divided(monkeypatch, long):
    monkeypatch.setattr(near_copies, "_LONG", long)
    every_third = np.uint64(0x9249249249249249)
    hashes = np.unique(with_neighbours(np.random.default_rng(1), 150, 6) & every_third)
    assert len(brute_force(hashes, 2)) > 20
    assert found(hashes, 2) == brute_force(hashes, 2)


def test_equal_hashes_are_compared_with_as_many_as_the_limit(monkeypatch):
    monkeypatch.setattr(near_copies, "_LONG", 3)
    assert found(np.zeros(6, np.uint64), 4) == [
        (a, b) for a in range(6) for b in range(a + 1, min(6, a + 4))
    ]


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_compare(count):
    assert found(np.zeros(count, np.uint64), 4) == []


def test_every_planted_pair_among_many():
    hashes = with_neighbours(np.random.default_rng(2), 20_000, 4)
    expected = [(i, i + 20_000) for i in range(20_000)]
    assert found(hashes, 4) == expected
