"""P classes with K images each."""

import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, UInt
from numpy.typing import NDArray
from torch import Tensor

from ranklight.datamodules.randomness import random_bits
from ranklight.datamodules.samplers.arguments import check_seed, class_indices, epoch_length
from ranklight.datamodules.samplers.batch_sampler import BatchSampler, GlobalBatches, Progress
from ranklight.datamodules.samplers.by_class import ShortClasses, by_class, large_enough
from ranklight.kernels.checks import check_counts

_CLASSES, _IMAGES = 1, 2


class ClassBalanced(BatchSampler):
    """Batches of P classes with K images each: every class, and every image, before any repeats.

    The batches of all epochs are one stream of visits, P to a batch. Visit s belongs to pass
    q = s // C over the C classes, so each class is visited exactly once in a pass, and its visit in
    pass q takes the images qK..qK + K − 1 of its own endless stream, which is one shuffle of the
    class after the other. Nothing is counted and nothing replayed: any batch follows from (seed,
    epoch, position) in closed form, and an epoch goes on where the one before stopped.

    *No class twice in a batch*, also where one pass ends and the next begins: of the first P
    classes of a pass, those that the last batch already holds are moved behind the others. With
    fewer than 2P classes there may be no room for that; then the class order is kept until a pass
    ends with a batch, at most P passes. *No image twice in a batch*, if its class has at least K:
    a class is reshuffled where its stream comes to the end of an image cycle and of a visit at
    once; until then, at most K cycles, the same circle of images is cut at other places.

    The usual batch of metric learning (P×K, Hermans, Beyer, Leibe, arXiv 1703.07737); that code
    and pytorch-metric-learning draw the classes of every batch afresh, so in as many
    visits as there are classes more than a third of them, 1/e, is never seen.

    Args:
        labels: One class index per image.
        classes_per_batch: P.
        samples_per_class: K.
        seed: Another seed is another order.
        short_classes: What happens to classes with fewer than K images. "repeat": an image stands
            more than once in a batch (with one and the same augmentation), each about equally
            often; "drop": they are left out; "error": refused.
        batches_per_epoch: Length of an epoch; by default the images in use // PK, at least 1. On
            classes of equal size that is one pass over the images.
        rank: Which share of the batch to take, `batch[rank::world_size]`.
        world_size: How many ranks share a batch.

    Raises:
        TypeError: Labels that are not one class index per image.
        ValueError: Fewer classes than P, K larger than every class, a class with fewer than K
            images under "error", or a batch that the ranks cannot share.

    Examples:
        >>> labels = np.array([7, 7, 8, 8, 9, 9])
        >>> sampler = ClassBalanced(labels, classes_per_batch=3, samples_per_class=2)
        >>> sorted(next(iter(sampler)))
        [0, 1, 2, 3, 4, 5]
    """

    def __init__(
        self,
        labels: Sequence[int] | Int[np.ndarray, "n"] | Int[Tensor, "n"],
        classes_per_batch: int,
        samples_per_class: int,
        seed: int = 0,
        short_classes: ShortClasses = "repeat",
        batches_per_epoch: int | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        check_counts(classes_per_batch=classes_per_batch, samples_per_class=samples_per_class)
        check_seed(seed)
        self.classes_per_batch = classes_per_batch
        self.samples_per_class = samples_per_class
        self.seed = seed
        labels = class_indices(labels, "ClassBalanced")
        found = large_enough(by_class(labels), classes_per_batch, samples_per_class, short_classes)
        self._images, self._starts, self._counts, _ = found
        batch_size = classes_per_batch * samples_per_class
        self.progress = Progress(
            epoch_length(batches_per_epoch, max(1, int(self._counts.sum()) // batch_size)),
            batch_size,
            rank,
            world_size,
            identity={
                "kind": "ClassBalanced",
                "classes_per_batch": classes_per_batch,
                "samples_per_class": samples_per_class,
                "seed": seed,
                "short_classes": short_classes,
                "batches_per_epoch": batches_per_epoch,
                "images": len(labels),
                "labels": hashlib.sha256(labels.tobytes()).hexdigest()[:16],
            },
        )
        # After so many cycles a cycle and a visit end at once, and the class may be reshuffled.
        self._cycles_per_shuffle = samples_per_class // np.gcd(self._counts, samples_per_class)
        self._shuffled = self._images.copy()
        self._shuffle_of = np.full(len(self._counts), -1)
        self._orders: dict[int, NDArray[np.int64]] = {}
        self._shuffle(np.arange(len(self._counts)), np.zeros_like(self._counts))

    def batches(self, epoch: int, first: int, last: int) -> GlobalBatches:
        """The global batches at positions first..last − 1 of an epoch, class after class."""
        classes, per_batch = len(self._counts), self.classes_per_batch
        start = (epoch * len(self) + first) * per_batch
        stop = start + (last - first) * per_batch
        visits = [
            self._visits(number, max(start - number * classes, 0), stop - number * classes)
            for number in range(start // classes, (stop - 1) // classes + 1)
        ]
        return np.concatenate(visits).reshape(last - first, -1)

    def _visits(self, number: int, first: int, last: int) -> Int[np.ndarray, "visits k"]:
        """The images of the visits first..last − 1 of a pass."""
        classes = self._class_order(number)[first:last]
        counts = self._counts[classes]
        # In pass q a class takes the images qK..qK + K − 1 of its stream, cycle after cycle.
        cycles, offsets = np.divmod(number * self.samples_per_class, counts)
        shuffles = cycles // self._cycles_per_shuffle[classes]
        stale = shuffles != self._shuffle_of[classes]
        if stale.any():
            self._shuffle(classes[stale], shuffles[stale])
        in_class = (offsets[:, None] + np.arange(self.samples_per_class)) % counts[:, None]
        images: NDArray[np.int64] = self._shuffled[self._starts[classes, None] + in_class]
        return images

    def _class_order(self, number: int) -> NDArray[np.int64]:
        if number not in self._orders:
            # Batches are asked for in order, so only neighbouring passes are worth remembering.
            near = {n: order for n, order in self._orders.items() if abs(n - number) == 1}
            self._orders = {**near, number: self._ordered_classes(number)}
        return self._orders[number]

    def _ordered_classes(self, number: int) -> NDArray[np.int64]:
        """The order of the classes in a pass, which may begin inside a batch."""
        classes, per_batch = len(self._counts), self.classes_per_batch
        if classes < 2 * per_batch:
            # No room to move classes: one order until a pass ends with a batch, which is after
            # P / gcd(C, P) passes.
            return self._permuted_classes(number // (per_batch // int(np.gcd(classes, per_batch))))
        order = self._permuted_classes(number)
        begun = number * classes % per_batch
        if begun:
            # Only the first P classes of a pass are ever moved, and its last P are others: the end
            # of the pass before is therefore that of its plain permutation.
            in_batch = np.isin(order[:per_batch], self._permuted_classes(number - 1)[-begun:])
            order[:per_batch] = order[:per_batch][np.argsort(in_batch, kind="stable")]
        return order

    def _permuted_classes(self, number: int) -> NDArray[np.int64]:
        classes = np.arange(len(self._counts))
        return np.lexsort((classes, random_bits(self.seed, _CLASSES, number, classes)))

    def _shuffle(self, classes: NDArray[np.int64], shuffles: NDArray[np.int64]) -> None:
        """Reorder these classes' images, each by the random numbers of its own shuffle."""
        counts = self._counts[classes]
        ends = np.cumsum(counts)
        rank = np.arange(ends[-1]) - np.repeat(ends - counts, counts)
        streams = np.repeat(random_bits(self.seed, _IMAGES, classes, shuffles), counts)
        order = _order_within(counts, rank, random_bits(streams, rank))
        starts = np.repeat(self._starts[classes], counts)
        self._shuffled[starts + rank] = self._images[starts + order]
        self._shuffle_of[classes] = shuffles


def _order_within(
    counts: Int[np.ndarray, "c"], rank: Int[np.ndarray, "n"], bits: UInt[np.ndarray, "n"]
) -> Int[np.ndarray, "n"]:
    """The ranks of each class in the order of their random bits, class after class.

    A key of 64 bits holds, from the highest, the class, as many random bits as there is room for,
    and the rank. No two keys are equal, so the result does not depend on how they are sorted, and a
    plain sort is several times faster than an argsort.
    """
    class_bits = np.uint64(len(counts).bit_length())
    rank_bits = np.uint64(int(counts.max()).bit_length())
    keys = np.repeat(np.arange(len(counts), dtype=np.uint64), counts)
    keys <<= np.uint64(64) - class_bits
    keys |= bits >> class_bits >> rank_bits << rank_bits
    keys |= rank.astype(np.uint64)
    keys.sort()
    return (keys & ((np.uint64(1) << rank_bits) - np.uint64(1))).astype(np.int64)
