"""Super-classes, classes of each, images of each."""

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
    ByClass,
    ShortClasses,
    by_class,
    by_size,
    large_enough,
    weighted_order,
)
from ranklight.kernels.checks import check_counts

_SUPER_CLASSES, _CLASSES, _IMAGES = 1, 2, 3


class SuperClasses(BatchSampler):
    """Batches of Q super-classes with P classes each and K images of each of those.

    The negatives of a batch are then largely of the same super-class: chairs beside chairs, which
    is harder than chairs beside kettles, and each batch is balanced over super-classes. A
    super-class of n classes is drawn in proportion to n^power; then P of its classes and K images
    of each, all sets equally likely. One with fewer than P classes is left out. A batch is a pure
    function of (seed, epoch, position).

    As the HierarchicalSampler of pytorch-metric-learning (Q = 2 and several batches of one pair)
    and the CategoryBalanceSampler of open-metric-learning, which has power 0.

    Args:
        labels: One class index per image.
        super_classes: The super-class of each image; all images of a class have one.
        super_classes_per_batch: Q.
        classes_per_super_class: P.
        samples_per_class: K.
        power: How much more often super-classes of many classes are drawn: 0 all alike, 1 in
            proportion, so that each class is drawn about equally often.
        seed: Another seed is another draw.
        short_classes: What happens to classes with fewer than K images: "repeat" some in a batch,
            "drop" the class, or "error".
        batches_per_epoch: Length of an epoch; by default the images in use // QPK, at least 1.
        rank: Which share of the batch to take, `batch[rank::world_size]`.
        world_size: How many ranks share a batch.

    Raises:
        TypeError: Labels or super-classes that are not one index per image.
        ValueError: A class in two super-classes, fewer than Q super-classes with P classes, K
            larger than every class, a class with fewer than K images under "error", or a batch that
            the ranks cannot share.

    Examples:
        >>> labels, kinds = np.array([0, 1, 2, 3]), np.array([0, 0, 1, 1])
        >>> batch = next(iter(SuperClasses(labels, kinds, 1, 2, 1)))
        >>> sorted(batch) in ([0, 1], [2, 3])
        True
    """

    def __init__(
        self,
        labels: Sequence[int] | Int[np.ndarray, "n"] | Int[Tensor, "n"],
        super_classes: Sequence[int] | Int[np.ndarray, "n"] | Int[Tensor, "n"],
        super_classes_per_batch: int,
        classes_per_super_class: int,
        samples_per_class: int,
        power: float = 0.0,
        seed: int = 0,
        short_classes: ShortClasses = "repeat",
        batches_per_epoch: int | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        check_counts(
            super_classes_per_batch=super_classes_per_batch,
            classes_per_super_class=classes_per_super_class,
            samples_per_class=samples_per_class,
        )
        check_seed(seed)
        labels = class_indices(labels, "SuperClasses")
        above = class_indices(super_classes, "SuperClasses")
        self.super_classes_per_batch = super_classes_per_batch
        self.classes_per_super_class = classes_per_super_class
        self.samples_per_class = samples_per_class
        self.seed = seed
        self._images = large_enough(by_class(labels), 1, samples_per_class, short_classes)
        self._members = self._by_super_class(_of_classes(self._images, labels, above))
        self._weights = by_size(self._members.counts, power)
        batch_size = super_classes_per_batch * classes_per_super_class * samples_per_class
        identity = {
            "kind": "SuperClasses",
            "super_classes_per_batch": super_classes_per_batch,
            "classes_per_super_class": classes_per_super_class,
            "samples_per_class": samples_per_class,
            "power": power,
            "seed": seed,
            "short_classes": short_classes,
            "batches_per_epoch": batches_per_epoch,
            "images": len(labels),
            "labels": hashlib.sha256(labels.tobytes() + above.tobytes()).hexdigest()[:16],
        }
        length = epoch_length(batches_per_epoch, max(1, self._in_use() // batch_size))
        self.progress = Progress(length, batch_size, rank, world_size, identity)

    def batches(self, epoch: int, first: int, last: int) -> GlobalBatches:
        """The global batches at positions first..last − 1 of an epoch, class after class."""
        streams = random_bits(self.seed, _SUPER_CLASSES, epoch, np.arange(first, last))
        above = np.stack(
            [
                weighted_order(self._weights, streams[i : i + 1], self.super_classes_per_batch)
                for i in range(len(streams))
            ]
        )
        of_classes = random_bits(streams[:, None], _CLASSES, above)
        ranks = self._members.draw(above, self.classes_per_super_class, of_classes)
        of_images = random_bits(streams[:, None, None], _IMAGES, ranks)
        images = self._images.draw(ranks, self.samples_per_class, of_images)
        return images.reshape(last - first, -1)

    def _by_super_class(self, above: NDArray[np.int64]) -> ByClass:
        """The classes of each super-class that has enough of them."""
        members = by_class(above)
        enough = members.counts >= self.classes_per_super_class
        if enough.sum() < self.super_classes_per_batch:
            raise ValueError(
                f"super_classes_per_batch is {self.super_classes_per_batch}, but only "
                f"{enough.sum()} of {len(enough)} super-classes have classes_per_super_class "
                f"{self.classes_per_super_class} classes"
            )
        kept = (each[enough] for each in (members.starts, members.counts, members.classes))
        return ByClass(members.images, *kept)

    def _in_use(self) -> int:
        """How many images can be drawn."""
        ends = self._members.starts + self._members.counts
        spans = zip(self._members.starts, ends, strict=True)
        ranks = np.concatenate([self._members.images[start:end] for start, end in spans])
        return int(self._images.counts[ranks].sum())


def _of_classes(
    images: ByClass, labels: NDArray[np.int64], above: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The super-class of each class."""
    if len(above) != len(labels):
        raise ValueError(f"{len(labels)} labels came with {len(above)} super-classes")
    of_labels = by_class(labels)
    first = above[of_labels.images[of_labels.starts]]
    other = np.flatnonzero(above[of_labels.images] != np.repeat(first, of_labels.counts))
    if len(other):
        raise ValueError(
            f"class {labels[of_labels.images[other[0]]]} has images of two super-classes"
        )
    of_classes: NDArray[np.int64] = first[np.isin(of_labels.classes, images.classes)]
    return of_classes
