"""Class-balanced batches of 32 by 4: the construction of the sampler, and then its batches."""

import time

import numpy as np
from pytorch_metric_learning.samplers import MPerClassSampler

from benchmarks.measure import Comparison, compare_with_peer
from ranklight.datamodules.samplers import ClassBalanced

CLASSES_PER_BATCH, SAMPLES_PER_CLASS = 32, 4
IMAGES = 1_000_000
CLASSES = [10_000, 200_000]
PEER_BATCHES = 200
BATCHES_A_SECOND = 50_000


def main() -> bool:
    title = f"Class-balanced batches of {CLASSES_PER_BATCH} by {SAMPLES_PER_CLASS}"
    met = compare_with_peer(title, [row for classes in CLASSES for row in _rows(classes)])
    print()
    for classes in CLASSES:
        speed = _batches_a_second(classes)
        met = met and speed >= BATCHES_A_SECOND
        print(
            f"- {IMAGES:,} images in {classes:,} classes: {speed:,.0f} batches a second of CPU "
            f"time over three epochs (at least {BATCHES_A_SECOND:,})"
        )
    return met


def _rows(classes: int) -> list[Comparison]:
    labels = _labels(classes)
    size = f"{IMAGES:,} images in {classes:,} classes"
    peer, ours = _peer(labels), _ours(labels, PEER_BATCHES)
    return [
        Comparison("construction", size, lambda: _peer(labels), lambda: _ours(labels), repeats=3),
        Comparison(
            f"{PEER_BATCHES} batches",
            size,
            lambda: list(peer),
            lambda: list(ours),
            at_least=10,
            repeats=3,
        ),
    ]


def _batches_a_second(classes: int) -> float:
    sampler = _ours(_labels(classes))
    start = time.process_time()
    drawn = sum(1 for _ in range(3) for _ in sampler)
    return drawn / (time.process_time() - start)


def _labels(classes: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, classes, IMAGES)


def _ours(labels: np.ndarray, batches_per_epoch: int | None = None) -> ClassBalanced:
    return ClassBalanced(
        labels, CLASSES_PER_BATCH, SAMPLES_PER_CLASS, batches_per_epoch=batches_per_epoch
    )


def _peer(labels: np.ndarray) -> MPerClassSampler:
    batch_size = CLASSES_PER_BATCH * SAMPLES_PER_CLASS
    return MPerClassSampler(labels, SAMPLES_PER_CLASS, batch_size, PEER_BATCHES * batch_size)
