"""What data sets of images with one class each share."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from pytorch_lightning.utilities import rank_zero_info

from ranklight.datamodules.batches import Batches
from ranklight.datamodules.image_file_data import ImageFileData
from ranklight.datamodules.long_tail import Shape, check_tail, long_tail
from ranklight.datamodules.reading.annotations import (
    Sample,
    check_files,
    check_published_counts,
    warn_never_seen,
)
from ranklight.datamodules.reading.image_files import ImageFiles
from ranklight.datamodules.splits import Fold, Validation, fold_or_fraction, hold_out, split_hash
from ranklight.datamodules.training_batches import TrainingBatches


class ClassData(ImageFileData):
    """Image files of one class each, in batches of P classes with K images, or shuffled.

    A data set says in `read` what its annotations hold; the rest is here. Models are chosen on the
    validation split, never on test: it is the published one, or held out of training where there is
    none. A class that never occurs in training is warned of.

    Args:
        root: The folder of the data set.
        classes_per_batch: P, for batches of P classes with K images each.
        samples_per_class: K; a class with fewer images repeats some.
        batch_size: Instead of P and K: images in a shuffled batch.
        batches: Instead of numbers: batches of another kind, such as `HardClassBatches`,
            `SuperClassBatches`, `WeightedPxK` or `ViewBatches`.
        imbalance_ratio: Thin out the training split, see `long_tail`: on balanced data the largest
            class to the smallest. Validation and test stay as they are.
        imbalance_shape: How class sizes fall.
        official_validation: Take the published validation split, where there is one; else train on
            it too, and hold out a fraction of both.
        validation_fraction: How much is held out.
        fold: [k, n]: of n folds of all that is not for test the one numbered k, from 0, is for
            validation, in place of either.
        check_counts: Refuse another number of images or classes than was published.
        **options: Of `ImageFileData`: what is seen of pictures, seeds and loaders.

    Attributes:
        class_names: The name of each class index.
        split_hash: Names which image is in which split.

    Raises:
        ValueError: Not exactly one of P and K together, batch_size, or batches.
    """

    published: Mapping[str, int] = {}
    validation: Validation = "image_disjoint"

    train: ImageFiles
    val: ImageFiles
    test: ImageFiles

    def __init__(
        self,
        root: str,
        classes_per_batch: int | None = None,
        samples_per_class: int | None = None,
        batch_size: int | None = None,
        batches: Batches | None = None,
        imbalance_ratio: float = 1.0,
        imbalance_shape: Shape = "exponential",
        official_validation: bool = True,
        validation_fraction: float = 0.1,
        fold: Fold | None = None,
        check_counts: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.root = Path(root)
        self.batches = TrainingBatches(classes_per_batch, samples_per_class, batch_size, batches)
        check_tail(imbalance_ratio, imbalance_shape)
        self.imbalance_ratio = imbalance_ratio
        self.imbalance_shape = imbalance_shape
        self.held_out = fold_or_fraction(fold, validation_fraction)
        self.official_validation = official_validation and fold is None
        self.check_counts = check_counts

    def read(self) -> tuple[list[Sample], Int[np.ndarray, "n"], tuple[str, ...]]:
        """The images, their classes, and the names of the classes."""
        raise NotImplementedError

    def setup(self, stage: str | None = None) -> None:
        """Read the annotations, look for the images, and split them.

        Raises:
            FileNotFoundError: An annotation file or an image is missing.
            ValueError: Annotations that cannot be, other counts than the published ones, an empty
                image file, or fewer images or classes than a batch needs.
        """
        images, classes, self.class_names = self.read()
        if self.check_counts:
            name = type(self).__name__
            check_published_counts(name, images, len(self.class_names), self.published)
        check_files(images)
        splits = self._split(np.array([image.split for image in images]), classes)
        if self.validation == "image_disjoint":
            seen = np.bincount(classes[splits[0]], minlength=len(self.class_names))
            warn_never_seen(self.class_names, seen)
        self.train, self.val, self.test = self.pictures(
            [image.file for image in images],
            torch.from_numpy(classes),
            splits,
            [image.location for image in images],
        )
        self._set_levels(images)
        self.split_hash = split_hash(*splits)
        self.warn_of_copies()
        levels = {name: each.numpy() for name, each in self.train.levels.items()}
        self.train_sampler = self.batches.sampler(
            classes[splits[0]], self.seed, self.class_names, levels
        )
        rank_zero_info(self._summary())

    def _split(
        self, published: Int[np.ndarray, "n"], classes: Int[np.ndarray, "n"]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """The indices of train, val and test; given are 0, 1 and 2 for the published ones."""
        train, val, test = (np.flatnonzero(published == split) for split in range(3))
        if not len(val) or not self.official_validation:
            both = np.union1d(train, val)
            rest, held_out = hold_out(
                classes[both], self.held_out, self.validation, self.split_seed
            )
            train, val = both[rest], both[held_out]
        imbalanced = long_tail(
            classes[train], self.imbalance_ratio, self.imbalance_shape, self.split_seed
        )
        return train[imbalanced], val, test

    def _set_levels(self, images: list[Sample]) -> None:
        """Give the splits the classes above the images' own, where all images have one."""
        above = [image.super_class for image in images if image.super_class is not None]
        if len(above) == len(images):
            numbers = torch.tensor(above)
            for split in (self.train, self.val, self.test):
                split.levels = {"super_class": numbers[split.indices]}

    def _summary(self) -> str:
        sizes = ", ".join(
            f"{name} {len(split)} images of {len(set(split.labels.tolist()))} classes"
            for name, split in (("train", self.train), ("val", self.val), ("test", self.test))
        )
        return f"{type(self).__name__}: {sizes}"
