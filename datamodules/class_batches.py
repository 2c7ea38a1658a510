"""Batches of classes with some images of each, beside `PxK`."""

from collections.abc import Mapping
from math import inf

from ranklight.datamodules.batches import Batches, one_class_of
from ranklight.datamodules.labels.rows import RowLabels
from ranklight.datamodules.samplers import SuperClasses, WeightedClasses
from ranklight.datamodules.samplers.by_class import ShortClasses
from ranklight.kernels.distributed import rank_and_world_size


class WeightedPxK(Batches):
    """P classes with K images each, drawn by weight; see `WeightedClasses`.

    Args:
        classes_per_batch: P.
        samples_per_class: K.
        power: How much more often large classes are drawn: 0 all alike, 1 as the data is.
        weights: How much more often classes are drawn, by name; 0 is never, 1 is the default.
        short_classes: What happens to classes with fewer than K images: "repeat" some in a batch,
            "drop" the class, or "error".
        batches_per_epoch: Length of an epoch; by default training images // PK.
    """

    def __init__(
        self,
        classes_per_batch: int = 16,
        samples_per_class: int = 4,
        power: float = 0.0,
        weights: dict[str, float] | None = None,
        short_classes: ShortClasses = "repeat",
        batches_per_epoch: int | None = None,
    ) -> None:
        self.classes_per_batch = classes_per_batch
        self.samples_per_class = samples_per_class
        self.power = power
        self.weights = weights or {}
        self.short_classes = short_classes
        self.batches_per_epoch = batches_per_epoch

    def sampler(self, labels: RowLabels, seed: int) -> WeightedClasses:
        """Weighted classes.

        Raises:
            ValueError: Labels without one class an image, a weight of no training class, or too few
                classes or images.
        """
        rank, world_size = rank_and_world_size()
        return WeightedClasses(
            one_class_of(labels, "WeightedPxK"),
            self.classes_per_batch,
            self.samples_per_class,
            self.power,
            _by_index(self.weights, labels),
            seed,
            self.short_classes,
            self.batches_per_epoch,
            rank,
            world_size,
        )


class SuperClassBatches(Batches):
    """Q super-classes, P classes of each, K images of each; see `SuperClasses`.

    For data with a level above its classes: `StanfordOnlineProducts`, `InShop`, `INaturalist2018`,
    and tables by `OneClass(super_class=...)`.

    Args:
        super_classes_per_batch: Q.
        classes_per_super_class: P.
        samples_per_class: K.
        power: How much more often super-classes of many classes are drawn: 0 all alike, 1 so that
            each class comes about equally often.
        level: The name of the level above.
        short_classes: What happens to classes with fewer than K images: "repeat" some in a batch,
            "drop" the class, or "error".
        batches_per_epoch: Length of an epoch; by default training images // QPK.
    """

    def __init__(
        self,
        super_classes_per_batch: int = 2,
        classes_per_super_class: int = 8,
        samples_per_class: int = 4,
        power: float = 0.0,
        level: str = "super_class",
        short_classes: ShortClasses = "repeat",
        batches_per_epoch: int | None = None,
    ) -> None:
        self.super_classes_per_batch = super_classes_per_batch
        self.classes_per_super_class = classes_per_super_class
        self.samples_per_class = samples_per_class
        self.power = power
        self.level = level
        self.short_classes = short_classes
        self.batches_per_epoch = batches_per_epoch

    def sampler(self, labels: RowLabels, seed: int) -> SuperClasses:
        """Batches of super-classes.

        Raises:
            ValueError: No such level, or too few super-classes with as many classes.
        """
        if self.level not in labels.levels:
            raise ValueError(
                f"SuperClassBatches need the level {self.level} above the classes, and these "
                f"labels have {', '.join(labels.levels) or 'none'}: a table has one by "
                "OneClass(super_class=<its column>)"
            )
        rank, world_size = rank_and_world_size()
        return SuperClasses(
            one_class_of(labels, "SuperClassBatches"),
            labels.levels[self.level],
            self.super_classes_per_batch,
            self.classes_per_super_class,
            self.samples_per_class,
            self.power,
            seed,
            self.short_classes,
            self.batches_per_epoch,
            rank,
            world_size,
        )


def _by_index(weights: Mapping[str, float], labels: RowLabels) -> dict[int, float]:
    present = set(one_class_of(labels, "WeightedPxK").tolist())
    training = [name for index, name in enumerate(labels.class_names) if index in present]
    unknown = [name for name in weights if name not in training]
    if unknown:
        raise ValueError(
            f"weights name {unknown[0]!r}, which is no class of training; there are "
            f"{', '.join(training[:5])}, ..."
        )
    if wrong := [name for name, weight in weights.items() if not 0 <= weight < inf]:
        raise ValueError(
            f"the weight of class {wrong[0]} must be 0 or more, got {weights[wrong[0]]}"
        )
    return {labels.class_names.index(name): weight for name, weight in weights.items()}
