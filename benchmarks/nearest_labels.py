"""Batches of nearest labels, and the lists of neighbours that they are made from."""

import random
import time

import numpy as np
import torch
from sklearn.neighbors import NearestNeighbors

from benchmarks.measure import Comparison, compare_with_peer
from ranklight.datamodules.samplers import NearestLabels
from ranklight.datamodules.samplers.label_neighbours import label_neighbours

IMAGES, DIMENSIONS, NEIGHBOURS, BATCH = 1_000_000, 32, 5, 150
PEER_BATCHES = 200
LISTED = 20_000
INDEXED = 100_000
BATCHES_A_SECOND = 5_000


def main() -> bool:
    lists = _any_lists(IMAGES)
    ours = NearestLabels(IMAGES, lists, BATCH)
    ours.batches(0, 0, 1)
    labels = _labels(LISTED)
    rows = [
        Comparison(
            f"{PEER_BATCHES} batches of {BATCH}, peer: random.sample for each",
            f"{IMAGES:,} images",
            lambda: _one_at_a_time(lists),
            lambda: ours.batches(0, 0, PEER_BATCHES),
            at_least=5,
        ),
        Comparison(
            f"lists of {NEIGHBOURS}, exact, peer: scikit-learn, brute force",
            f"{LISTED:,} labels of {DIMENSIONS}",
            lambda: NearestNeighbors(algorithm="brute").fit(labels).kneighbors(labels, 6),
            lambda: label_neighbours(labels, NEIGHBOURS),
            at_least=1,
            repeats=3,
        ),
    ]
    met = compare_with_peer("Nearest-label batches", rows)
    speed = _batches_a_second(ours)
    print(
        f"\n- {IMAGES:,} images: {speed:,.0f} batches of {BATCH} a second of CPU time (at least "
        f"{BATCHES_A_SECOND:,})"
    )
    print(f"- {_index()}")
    return met and speed >= BATCHES_A_SECOND


def _labels(images: int) -> np.ndarray:
    """Eight causes seen in 32 numbers, a little noise on each."""
    generator = np.random.default_rng(0)
    causes = generator.standard_normal((images, 8))
    mixed = np.tanh(causes @ generator.standard_normal((8, DIMENSIONS)) / 2)
    noisy = mixed + 0.01 * generator.standard_normal((images, DIMENSIONS))
    return noisy.astype(np.float32)


def _any_lists(images: int) -> np.ndarray:
    others = np.random.default_rng(0).integers(0, images - 1, (images, NEIGHBOURS))
    return others + (others >= np.arange(images)[:, None])


def _one_at_a_time(lists: np.ndarray) -> list[list[int]]:
    batches = []
    for anchor in range(PEER_BATCHES):
        batch = dict.fromkeys([anchor, *lists[anchor].tolist()])
        batch |= dict.fromkeys(random.sample(range(len(lists)), BATCH))
        batches.append(list(batch)[:BATCH])
    return batches


def _batches_a_second(sampler: NearestLabels) -> float:
    start = time.process_time()
    for first in range(0, 20_000, 1000):
        sampler.batches(0, first, first + 1000)
    return 20_000 / (time.process_time() - start)


def _index() -> str:
    torch.set_num_threads(1)
    labels = _labels(INDEXED)
    start = time.process_time()
    found = label_neighbours(labels, NEIGHBOURS)
    seconds = time.process_time() - start
    return (
        f"lists of {INDEXED:,} labels of {DIMENSIONS} through an index: {seconds:.0f} s of CPU "
        f"time, {found.recall:.3f} of the true {NEIGHBOURS} nearest"
    )
