"""Anchors with images of their class and the hardest of others, filled up at random."""

import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, UInt
from numpy.typing import NDArray
from torch import Tensor

from ranklight.datamodules.randomness import random_bits
from ranklight.datamodules.samplers.arguments import check_seed, class_indices, epoch_length
from ranklight.datamodules.samplers.batch_sampler import BatchSampler, GlobalBatches, Progress
from ranklight.datamodules.samplers.by_class import (
    by_class,
    distinct_numbers,
    first_distinct,
    shuffled_passes,
)
from ranklight.datamodules.samplers.mining import HardLists, Mining
from ranklight.kernels.checks import check_counts

_ANCHORS, _POSITIVES, _NEGATIVES, _OTHERS = 1, 2, 3, 4


class HardNegatives(BatchSampler):
    """Batches of anchors, each with images of its class and hard negatives, and random others.

    **The order inside a global batch**: the anchors, their positives, their negatives, then random
    images; no image twice, and what is there already makes room for a random one. Each image is an
    anchor once before any repeats. The positives are random images of the anchor's class. The
    negatives are drawn from the hardest of the whole training set; `Mining` says when these are
    looked for and how many there are to draw from. Before the first search random images stand in
    their places.

    A batch is a pure function of (lists, seed, epoch, position), and the lists are kept in
    checkpoints, so a run goes on exactly and ranks draw alike.

    As ANCE mines (Xiong et al., ICLR 2021, arXiv 2007.00808), and Xuan et al. (ECCV 2020) look at
    it in metric learning; there a search is approximate and goes on beside training.

    Args:
        labels: One class index per image.
        batch_size: Images in the global batch, that of all ranks together.
        anchors: How many of them are anchors.
        positives: How many images of its class each anchor brings.
        negatives: How many hard negatives each anchor brings.
        mining: When hard negatives are looked for, and how.
        seed: Another seed is another order and other draws.
        batches_per_epoch: Length of an epoch; by default images // batch_size.
        rank: Which share of the batch to take, `batch[rank::world_size]`.
        world_size: How many ranks share a batch.

    Raises:
        TypeError: Labels that are not one class index per image.
        ValueError: A batch that cannot hold what the anchors bring, fewer images than a batch, or
            a batch that the ranks cannot share.

    Examples:
        >>> import torch
        >>> sampler = HardNegatives(np.array([0, 0, 1, 1]), 3, anchors=1, negatives=1)
        >>> sampler.take_lists(torch.tensor([[2], [3], [0], [1]]))
        >>> next(iter(sampler)) in ([0, 1, 2], [1, 0, 3], [2, 3, 0], [3, 2, 1])
        True
    """

    def __init__(
        self,
        labels: Sequence[int] | Int[np.ndarray, "n"] | Int[Tensor, "n"],
        batch_size: int,
        anchors: int = 16,
        positives: int = 1,
        negatives: int = 2,
        mining: Mining | None = None,
        seed: int = 0,
        batches_per_epoch: int | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        check_counts(
            batch_size=batch_size, anchors=anchors, positives=positives, negatives=negatives
        )
        check_seed(seed)
        labels = class_indices(labels, "HardNegatives")
        _check(len(labels), batch_size, anchors, positives, negatives)
        self.mining = mining or Mining()
        self.anchors, self.positives, self.negatives = anchors, positives, negatives
        self.seed = seed
        self._images = by_class(labels)
        self._class = np.searchsorted(self._images.classes, labels)
        self._place = np.empty(len(labels), np.int64)
        self._place[self._images.images] = np.arange(len(labels))
        self._place -= self._images.starts[self._class]
        self._lists: NDArray[np.int64] = np.full((len(labels), 1), -1)
        identity = {
            "kind": "HardNegatives",
            "batch_size": batch_size,
            "anchors": anchors,
            "positives": positives,
            "negatives": negatives,
            "seed": seed,
            "batches_per_epoch": batches_per_epoch,
            "images": len(labels),
            "labels": hashlib.sha256(labels.tobytes()).hexdigest()[:16],
        }
        length = epoch_length(batches_per_epoch, len(labels) // batch_size)
        self.progress = Progress(length, batch_size, rank, world_size, identity)

    def take_lists(self, lists: HardLists) -> None:
        """Draw from these hard negatives of every image from now on."""
        self._lists = lists.cpu().numpy()

    def batches(self, epoch: int, first: int, last: int) -> GlobalBatches:
        """The global batches at positions first..last − 1 of an epoch."""
        number = epoch * len(self) + np.arange(first, last)
        turns = number[:, None] * self.anchors + np.arange(self.anchors)
        anchors = shuffled_passes(turns, len(self._class), self.seed, _ANCHORS)
        streams = random_bits(self.seed, number[:, None], np.arange(self.anchors))
        positives = self._drawn_positives(anchors.ravel(), streams.ravel())
        negatives = self._drawn_negatives(anchors.ravel(), streams.ravel())
        size = self.progress.batch_size
        others = distinct_numbers(
            random_bits(self.seed, _OTHERS, number), np.full(len(number), len(self._class)), size
        )
        brought = (drawn.reshape(len(number), -1) for drawn in (positives, negatives))
        candidates = np.concatenate([anchors, *brought, others], 1)
        return np.stack([first_distinct(each, size) for each in candidates])

    def _drawn_positives(
        self, anchors: Int[np.ndarray, "a"], streams: UInt[np.ndarray, "a"]
    ) -> Int[np.ndarray, "a p"]:
        """Images of each anchor's class but itself; −1 where it is alone."""
        of = self._class[anchors]
        rest = self._images.counts[of] - 1
        place = distinct_numbers(
            random_bits(streams, _POSITIVES), np.maximum(rest, 1), self.positives
        )
        place += place >= self._place[anchors, None]
        alone = (rest == 0)[:, None]
        images = self._images.images[self._images.starts[of, None] + np.where(alone, 0, place)]
        return np.where(alone, -1, images)

    def _drawn_negatives(
        self, anchors: Int[np.ndarray, "a"], streams: UInt[np.ndarray, "a"]
    ) -> Int[np.ndarray, "a h"]:
        """Some of each anchor's list; −1 where it is empty."""
        lists = self._lists[anchors]
        there = np.maximum((lists >= 0).sum(1), 1)
        column = distinct_numbers(random_bits(streams, _NEGATIVES), there, self.negatives)
        return np.take_along_axis(lists, column, 1)


def _check(size: int, batch_size: int, anchors: int, positives: int, negatives: int) -> None:
    if anchors * (1 + positives + negatives) > batch_size:
        raise ValueError(
            f"a batch of {batch_size} images cannot hold {anchors} anchors with {positives} "
            f"positives and {negatives} negatives each"
        )
    if size < batch_size:
        raise ValueError(f"batch_size is {batch_size}, but there are only {size} images")
