"""Batches around what the network takes for each other, over the whole training set."""

from ranklight.datamodules.batches import Batches, one_class_of
from ranklight.datamodules.labels.rows import RowLabels
from ranklight.datamodules.samplers import HardClasses, HardNegatives
from ranklight.datamodules.samplers.by_class import ShortClasses
from ranklight.datamodules.samplers.mining import Mining
from ranklight.kernels.distributed import rank_and_world_size


class HardClassBatches(Batches):
    """P classes that are confused with each other, with K images each; see `HardClasses`.

    Args:
        classes_per_batch: P.
        samples_per_class: K.
        around: How many classes a batch is built around; more is less hard and more varied.
        hard_classes: How many of the classes that it is confused with each of these brings at most.
        mining: When the training set is searched for hard negatives, and what is left out.
        short_classes: What happens to classes with fewer than K images: "repeat" some in a batch,
            "drop" the class, or "error".
        batches_per_epoch: Length of an epoch; by default training images // PK.
    """

    def __init__(
        self,
        classes_per_batch: int = 16,
        samples_per_class: int = 4,
        around: int = 4,
        hard_classes: int = 3,
        mining: Mining = Mining(),  # noqa: B008  (it is frozen)
        short_classes: ShortClasses = "repeat",
        batches_per_epoch: int | None = None,
    ) -> None:
        self.classes_per_batch = classes_per_batch
        self.samples_per_class = samples_per_class
        self.around = around
        self.hard_classes = hard_classes
        self.mining = mining
        self.short_classes = short_classes
        self.batches_per_epoch = batches_per_epoch

    def sampler(self, labels: RowLabels, seed: int) -> HardClasses:
        """Batches of hard classes, once lists are there.

        Raises:
            ValueError: Labels without one class an image, or too few classes or images.
        """
        rank, world_size = rank_and_world_size()
        return HardClasses(
            one_class_of(labels, "HardClassBatches"),
            self.classes_per_batch,
            self.samples_per_class,
            self.around,
            self.hard_classes,
            self.mining,
            seed,
            self.short_classes,
            self.batches_per_epoch,
            rank,
            world_size,
        )


class HardNegativeBatches(Batches):
    """Anchors with images of their class and the hardest of others; see `HardNegatives`.

    Args:
        batch_size: Images in the global batch, that of all ranks together.
        anchors: How many of them are anchors.
        positives: How many images of its class each anchor brings.
        negatives: How many hard negatives each anchor brings.
        mining: When the training set is searched for hard negatives, and what is left out.
        batches_per_epoch: Length of an epoch; by default training images // batch_size.
    """

    def __init__(
        self,
        batch_size: int = 64,
        anchors: int = 16,
        positives: int = 1,
        negatives: int = 2,
        mining: Mining = Mining(),  # noqa: B008  (it is frozen)
        batches_per_epoch: int | None = None,
    ) -> None:
        self.batch_size = batch_size
        self.anchors = anchors
        self.positives = positives
        self.negatives = negatives
        self.mining = mining
        self.batches_per_epoch = batches_per_epoch

    def sampler(self, labels: RowLabels, seed: int) -> HardNegatives:
        """Batches of hard negatives, once lists are there.

        Raises:
            ValueError: Labels without one class an image, or fewer images than a batch.
        """
        rank, world_size = rank_and_world_size()
        return HardNegatives(
            one_class_of(labels, "HardNegativeBatches"),
            self.batch_size,
            self.anchors,
            self.positives,
            self.negatives,
            self.mining,
            seed,
            self.batches_per_epoch,
            rank,
            world_size,
        )
