"""P classes that the network takes for each other, with K images each."""

import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from ranklight.datamodules.randomness import random_bits
from ranklight.datamodules.samplers.arguments import check_seed, class_indices, epoch_length
from ranklight.datamodules.samplers.batch_sampler import BatchSampler, GlobalBatches, Progress
from ranklight.datamodules.samplers.by_class import (
    ShortClasses,
    by_class,
    distinct_numbers,
    first_distinct,
    large_enough,
    shuffled_passes,
)
from ranklight.datamodules.samplers.mining import HardLists, Mining
from ranklight.kernels.checks import check_counts

_SEEDS, _OTHERS, _IMAGES = 1, 2, 3


class HardClasses(BatchSampler):
    """Batches of P classes with K images each, built around hard classes.

    A batch begins with some classes in a shuffled order, in which each comes once before any
    repeats; then come the classes that each of them is most often confused with, the hardest of
    each first; random classes fill it up. How often a class is confused with another is how many of
    the hardest negatives of its images, of the whole training set, are of the other; `Mining` says
    when these are looked for. Before the first search the batches are random.

    No class is in a batch twice. A batch is a pure function of (lists, seed, epoch, position), and
    the lists are kept in checkpoints, so a run goes on exactly and ranks draw alike.

    Hard negative class mining of the N-pair loss (Sohn, NeurIPS 2016) over all classes, and by the
    neighbours of images in place of class means (Suh, Han, Kim, Lee, CVPR 2019).

    Args:
        labels: One class index per image.
        classes_per_batch: P.
        samples_per_class: K.
        around: How many classes a batch is built around.
        hard_classes: How many of the classes that it is confused with each of these brings at most.
        mining: When hard negatives are looked for, and how.
        seed: Another seed is another order.
        short_classes: What happens to classes with fewer than K images: "repeat" some in a batch,
            "drop" the class, or "error".
        batches_per_epoch: Length of an epoch; by default the images in use // PK, at least 1.
        rank: Which share of the batch to take, `batch[rank::world_size]`.
        world_size: How many ranks share a batch.

    Raises:
        TypeError: Labels that are not one class index per image.
        ValueError: Fewer classes than P, more classes around which to build than P, K larger than
            every class, a class with fewer than K images under "error", or a batch that the ranks
            cannot share.

    Examples:
        >>> import torch
        >>> sampler = HardClasses(np.array([0, 1, 2, 3]), classes_per_batch=2, samples_per_class=1)
        >>> sampler.take_lists(torch.tensor([[3], [2], [1], [0]]))
        >>> all(sorted(batch) in ([0, 3], [1, 2]) for batch in sampler)
        True
    """

    def __init__(
        self,
        labels: Sequence[int] | Int[np.ndarray, "n"] | Int[Tensor, "n"],
        classes_per_batch: int,
        samples_per_class: int,
        around: int = 1,
        hard_classes: int = 3,
        mining: Mining | None = None,
        seed: int = 0,
        short_classes: ShortClasses = "repeat",
        batches_per_epoch: int | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        check_counts(
            classes_per_batch=classes_per_batch,
            samples_per_class=samples_per_class,
            around=around,
            hard_classes=hard_classes,
        )
        check_seed(seed)
        if around > classes_per_batch:
            raise ValueError(
                f"a batch of {classes_per_batch} classes cannot be built around {around}"
            )
        self.mining = mining or Mining()
        self._labels = class_indices(labels, "HardClasses")
        self.classes_per_batch, self.samples_per_class = classes_per_batch, samples_per_class
        self.around, self.hard_classes = around, hard_classes
        self.seed = seed
        self._images = large_enough(
            by_class(self._labels), classes_per_batch, samples_per_class, short_classes
        )
        self._confused = np.empty((len(self._images.counts), 0), np.int64)
        batch_size = classes_per_batch * samples_per_class
        identity = {
            "kind": "HardClasses",
            "classes_per_batch": classes_per_batch,
            "samples_per_class": samples_per_class,
            "around": around,
            "hard_classes": hard_classes,
            "seed": seed,
            "short_classes": short_classes,
            "batches_per_epoch": batches_per_epoch,
            "images": len(self._labels),
            "labels": hashlib.sha256(self._labels.tobytes()).hexdigest()[:16],
        }
        length = epoch_length(
            batches_per_epoch, max(1, int(self._images.counts.sum()) // batch_size)
        )
        self.progress = Progress(length, batch_size, rank, world_size, identity)

    def take_lists(self, lists: HardLists) -> None:
        """Draw by these hard negatives of every image from now on."""
        rank = np.searchsorted(self._images.classes, self._labels)
        rank = np.minimum(rank, len(self._images.classes) - 1)
        rank[self._images.classes[rank] != self._labels] = -1
        negatives = lists.cpu().numpy()
        pairs = np.stack(np.broadcast_arrays(rank[:, None], rank[negatives]), -1)
        usable = (negatives >= 0) & (pairs >= 0).all(-1)
        self._confused = _most_frequent(pairs[usable], len(self._images.counts), self.hard_classes)

    def batches(self, epoch: int, first: int, last: int) -> GlobalBatches:
        """The global batches at positions first..last − 1 of an epoch, class after class."""
        number = epoch * len(self) + np.arange(first, last)
        classes = len(self._images.counts)
        turns = number[:, None] * self.around + np.arange(self.around)
        leading = shuffled_passes(turns, classes, self.seed, _SEEDS)
        # The hardest of each leading class, then the second hardest of each, ...
        confused = self._confused[leading].transpose(0, 2, 1).reshape(len(number), -1)
        streams = random_bits(self.seed, _OTHERS, number)
        others = distinct_numbers(streams, np.full(len(number), classes), self.classes_per_batch)
        candidates = np.concatenate([leading, confused, others], 1)
        ranks = np.stack([first_distinct(each, self.classes_per_batch) for each in candidates])
        of_images = random_bits(streams[:, None], _IMAGES, ranks)
        return self._images.draw(ranks, self.samples_per_class, of_images).reshape(len(number), -1)


def _most_frequent(
    pairs: Int[np.ndarray, "p 2"], classes: int, width: int
) -> Int[np.ndarray, "classes width"]:
    """Of each class those it is most often paired with, at equal counts the lower; −1 fills."""
    table: NDArray[np.int64] = np.full((classes, width), -1)
    pair, counts = np.unique(pairs[:, 0] * classes + pairs[:, 1], return_counts=True)
    own, other = np.divmod(pair, classes)
    order = np.lexsort((other, -counts, own))
    own, other = own[order], other[order]
    place = np.arange(len(own)) - np.searchsorted(own, own)
    kept = place < width
    table[own[kept], place[kept]] = other[kept]
    return table
