"""How training batches of labelled rows are drawn."""

from abc import ABC, abstractmethod

import numpy as np
from jaxtyping import Int

from ranklight.datamodules.labels.rows import RowLabels
from ranklight.datamodules.reading.neighbour_files import Neighbours, read_neighbours
from ranklight.datamodules.samplers import (
    BatchSampler,
    ClassBalanced,
    NearestLabels,
    RelevanceTriplets,
    Shuffled,
    TripletRule,
)
from ranklight.datamodules.samplers.by_class import ShortClasses
from ranklight.datamodules.samplers.label_neighbours import label_neighbours
from ranklight.kernels.distributed import rank_and_world_size


class Batches(ABC):
    """A choice of sampler: what is known of it before there are labels."""

    @abstractmethod
    def sampler(self, labels: RowLabels, seed: int) -> BatchSampler:
        """This rank's share of the batches drawn from rows with these labels.

        Raises:
            ValueError: Labels of a kind that has no such batches, or fewer rows than they need.
        """


class PxK(Batches):
    """P classes with K images each; see `ClassBalanced`.

    Args:
        classes_per_batch: P.
        samples_per_class: K.
        short_classes: What happens to classes with fewer than K images: "repeat" some in a batch,
            "drop" the class, or "error".
        batches_per_epoch: Length of an epoch; by default training images // PK.
    """

    def __init__(
        self,
        classes_per_batch: int = 16,
        samples_per_class: int = 4,
        short_classes: ShortClasses = "repeat",
        batches_per_epoch: int | None = None,
    ) -> None:
        self.classes_per_batch = classes_per_batch
        self.samples_per_class = samples_per_class
        self.short_classes = short_classes
        self.batches_per_epoch = batches_per_epoch

    def sampler(self, labels: RowLabels, seed: int) -> ClassBalanced:
        """Class-balanced batches.

        Raises:
            ValueError: Labels without one class an image, or too few classes or images.
        """
        return ClassBalanced(
            one_class_of(labels, "PxK"),
            self.classes_per_batch,
            self.samples_per_class,
            seed,
            self.short_classes,
            self.batches_per_epoch,
            *rank_and_world_size(),
        )


class ShuffledBatches(Batches):
    """Each epoch a new order of the images, cut into batches; see `Shuffled`.

    Args:
        batch_size: Images in the global batch, that of all ranks together.
    """

    def __init__(self, batch_size: int = 32) -> None:
        self.batch_size = batch_size

    def sampler(self, labels: RowLabels, seed: int) -> Shuffled:
        """Shuffled batches, whatever the labels.

        Raises:
            ValueError: Fewer images than a batch.
        """
        return Shuffled(len(labels.values), self.batch_size, seed, *rank_and_world_size())


class NearestBatches(Batches):
    """Anchors, each with the images of the nearest labels, and random others; see `NearestLabels`.

    Args:
        batch_size: Images in the global batch, that of all ranks together.
        anchors: How many of them are anchors; each image is one once an epoch.
        neighbours: How many nearest images each anchor brings; 0 makes the batch random.
        lists: A file of neighbour lists of the training rows, nearest by whatever distance, to take
            instead of the nearest labels; see `read_neighbours`.
        cache_dir: Where neighbour lists are kept; None finds them at each start.
    """

    def __init__(
        self,
        batch_size: int = 64,
        anchors: int = 1,
        neighbours: int = 5,
        lists: str | None = None,
        cache_dir: str | None = None,
    ) -> None:
        self.batch_size = batch_size
        self.anchors = anchors
        self.neighbours = neighbours
        self.lists = lists
        self.cache_dir = cache_dir

    def sampler(self, labels: RowLabels, seed: int) -> NearestLabels:
        """Batches of neighbours.

        Raises:
            ValueError: Labels that are no vectors, all labels equal, or fewer images than a batch.
        """
        return NearestLabels(
            len(labels.values),
            self._neighbours(labels).index,
            self.batch_size,
            self.anchors,
            seed,
            *rank_and_world_size(),
        )

    def _neighbours(self, labels: RowLabels) -> Neighbours:
        if self.lists is not None:
            return read_neighbours(self.lists, len(labels.values), self.neighbours)
        if not labels.values.is_floating_point():
            raise ValueError(
                "NearestBatches draws images of near labels, which need to be numbers: PxK suits "
                "classes"
            )
        return label_neighbours(labels.values, self.neighbours, cache_dir=self.cache_dir)


class TripletBatches(Batches):
    """Triplets of a query, a more and a less relevant image; see `RelevanceTriplets`.

    Args:
        triplets_per_batch: Triplets in the global batch, that of all ranks together.
        buffer_size: Images in the sampler's buffer of a class.
        out_of_class: Share of triplets whose negative is of another class; by default 0.2, and 0
            where there is one class.
        margin: By how much a negative of the same class is less relevant than the positive.
        weighted: Draw by relevance; False: uniformly.
        corrected: Correct the sampler for the finite buffer; False: the paper's rule.
        batches_per_epoch: Length of an epoch; by default images // (3 × triplets_per_batch).
    """

    def __init__(
        self,
        triplets_per_batch: int = 21,
        buffer_size: int = 100,
        out_of_class: float | None = None,
        margin: float = 0.1,
        weighted: bool = True,
        corrected: bool = True,
        batches_per_epoch: int | None = None,
    ) -> None:
        self.triplets_per_batch = triplets_per_batch
        self.buffer_size = buffer_size
        self.out_of_class = out_of_class
        self.margin = margin
        self.weighted = weighted
        self.corrected = corrected
        self.batches_per_epoch = batches_per_epoch

    def sampler(self, labels: RowLabels, seed: int) -> RelevanceTriplets:
        """Batches of triplets.

        Raises:
            ValueError: Labels that are not graded, or no pair is relevant.
        """
        if labels.of_pairs is None or labels.classes is None:
            raise ValueError(
                "TripletBatches draws by graded relevance: give the labels as GradedRelevance or "
                "PairRelevance"
            )
        rank, world_size = rank_and_world_size()
        return RelevanceTriplets(
            labels.classes,
            labels.of_pairs,
            self.triplets_per_batch,
            self.buffer_size,
            self._rule(len(np.unique(labels.classes))),
            batches_per_epoch=self.batches_per_epoch,
            seed=seed,
            rank=rank,
            world_size=world_size,
        )

    def _rule(self, classes: int) -> TripletRule:
        by_default = 0.2 if classes > 1 else 0.0
        out_of_class = by_default if self.out_of_class is None else self.out_of_class
        return TripletRule(
            out_of_class, self.margin, weighted=self.weighted, corrected=self.corrected
        )


def one_class_of(labels: RowLabels, name: str) -> Int[np.ndarray, "rows"]:
    """The class of each row.

    Raises:
        ValueError: These are not one class an image; names who asks.
    """
    if labels.classes is None:
        raise ValueError(
            f"{name} draws images of the same class, and these labels are not one class an image: "
            "ShuffledBatches suit sets, NearestBatches numbers"
        )
    return labels.classes
