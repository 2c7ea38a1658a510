"""P classes with K images each, some classes more often than others."""

import hashlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from ranklight.datamodules.randomness import random_bits
from ranklight.datamodules.samplers.arguments import check_seed, class_indices, epoch_length
from ranklight.datamodules.samplers.batch_sampler import BatchSampler, GlobalBatches, Progress
from ranklight.datamodules.samplers.by_class import (
    ShortClasses,
    by_class,
    by_size,
    large_enough,
    weighted_order,
)
from ranklight.kernels.checks import check_counts

_CLASSES, _IMAGES = 1, 2


class WeightedClasses(BatchSampler):
    """Batches of P classes with K images each, the classes drawn by weight.

    A class of n images has the weight w · n^power. Each batch draws P different classes, each next
    one in proportion to its weight among those left, and K images of each, all sets of K equally
    likely. Unlike in `ClassBalanced` nothing is due: a class may be drawn in every batch. A batch
    is a pure function of (seed, epoch, position).

    Power 1 draws as the data is, 0 each class alike, ½ between them (square-root sampling: Mahajan
    et al., ECCV 2018, arXiv 1805.00932, for long tails).

    Args:
        labels: One class index per image.
        classes_per_batch: P.
        samples_per_class: K.
        power: How much more often large classes are drawn.
        weights: w of some class indices, 0 for never; of the others it is 1.
        seed: Another seed is another draw.
        short_classes: What happens to classes with fewer than K images: "repeat" some in a batch,
            "drop" the class, or "error".
        batches_per_epoch: Length of an epoch; by default the images in use // PK, at least 1.
        rank: Which share of the batch to take, `batch[rank::world_size]`.
        world_size: How many ranks share a batch.

    Raises:
        TypeError: Labels that are not one class index per image.
        ValueError: A weight below 0 or of no class, fewer classes that can be drawn than P, K
            larger than every class, a class with fewer than K images under "error", or a batch that
            the ranks cannot share.

    Examples:
        >>> labels = np.array([0, 0, 0, 0, 1, 1, 2, 2])
        >>> sampler = WeightedClasses(labels, 1, 2, weights={0: 0.0, 1: 0.0})
        >>> sorted(next(iter(sampler)))
        [6, 7]
    """

    def __init__(
        self,
        labels: Sequence[int] | Int[np.ndarray, "n"] | Int[Tensor, "n"],
        classes_per_batch: int,
        samples_per_class: int,
        power: float = 0.0,
        weights: Mapping[int, float] = MappingProxyType({}),
        seed: int = 0,
        short_classes: ShortClasses = "repeat",
        batches_per_epoch: int | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        check_counts(classes_per_batch=classes_per_batch, samples_per_class=samples_per_class)
        check_seed(seed)
        labels = class_indices(labels, "WeightedClasses")
        self.classes_per_batch, self.samples_per_class = classes_per_batch, samples_per_class
        self.seed = seed
        images = by_class(labels)
        self._images = large_enough(images, classes_per_batch, samples_per_class, short_classes)
        _check_classes(weights, images.classes)
        self._ranks, self._weights = self._drawn(power, weights)
        batch_size = classes_per_batch * samples_per_class
        in_use = int(self._images.counts[self._ranks].sum())
        identity = {
            "kind": "WeightedClasses",
            "classes_per_batch": classes_per_batch,
            "samples_per_class": samples_per_class,
            "power": power,
            "weights": sorted(weights.items()),
            "seed": seed,
            "short_classes": short_classes,
            "batches_per_epoch": batches_per_epoch,
            "images": len(labels),
            "labels": hashlib.sha256(labels.tobytes()).hexdigest()[:16],
        }
        length = epoch_length(batches_per_epoch, max(1, in_use // batch_size))
        self.progress = Progress(length, batch_size, rank, world_size, identity)

    def batches(self, epoch: int, first: int, last: int) -> GlobalBatches:
        """The global batches at positions first..last − 1 of an epoch, class after class."""
        streams = random_bits(self.seed, _CLASSES, epoch, np.arange(first, last))
        ranks = np.stack(
            [
                self._ranks[
                    weighted_order(self._weights, streams[i : i + 1], self.classes_per_batch)
                ]
                for i in range(len(streams))
            ]
        )
        of_images = random_bits(streams[:, None], _IMAGES, ranks)
        images = self._images.draw(ranks, self.samples_per_class, of_images)
        return images.reshape(last - first, -1)

    def _drawn(
        self, power: float, weights: Mapping[int, float]
    ) -> tuple[Int[np.ndarray, "c"], Float[np.ndarray, "c"]]:
        """The classes that can be drawn, and their weights."""
        own = np.array([weights.get(int(each), 1.0) for each in self._images.classes])
        ranks = np.flatnonzero(own > 0)
        if len(ranks) < self.classes_per_batch:
            raise ValueError(
                f"classes_per_batch is {self.classes_per_batch}, but only {len(ranks)} classes "
                "have a weight above 0"
            )
        return ranks, own[ranks] * by_size(self._images.counts[ranks], power)


def _check_classes(weights: Mapping[int, float], classes: Int[np.ndarray, "c"]) -> None:
    for index, weight in weights.items():
        if index not in classes:
            raise ValueError(f"weights name the class {index}, which no image has")
        if not 0 <= weight < np.inf:
            raise ValueError(f"the weight of class {index} must be 0 or more, got {weight}")
