"""What data sets of images with one class each share."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from pytorch_lightning.utilities import rank_zero_info

from ranklight.datamodules.loaders import (
    hold_out,
    split_hash,
)
from ranklight.datamodules.long_tail import long_tail
from ranklight.datamodules.reading.annotations import (
    Listed,
    refuse_missing,
    refuse_other_counts,
    warn_never_seen,
)
from ranklight.datamodules.reading.image_files import (
    ImageFiles,
    evaluation_transform,
    training_transform,
)
from ranklight.datamodules.split_data import SplitData
from ranklight.datamodules.training_batches import TrainingBatches


class ClassData(SplitData):
    """Image files of one class each, in batches of P classes with K images, or shuffled.

    A data set says in `read` what its annotations hold; the rest is here. Models are chosen on the
    validation part, never on test: it is the published one, or held out of training where there is
    none. A class that never occurs in training is warned of. Images are cut to squares and
    normalised as for networks that were trained on ImageNet.

    Args:
        root: The folder of the data set.
        classes_per_batch: P, for batches of P classes with K images each.
        samples_per_class: K; a class with fewer images repeats some.
        batch_size: Instead of P and K: images in a shuffled batch.
        imbalance_ratio: Thin out the training part, see `long_tail`: on balanced data the largest
            class to the smallest. Validation and test stay as they are.
        imbalance_shape: How class sizes fall.
        official_validation: Take the published validation part, where there is one; else train on
            it too, and hold out a fraction of both.
        validation_fraction: How much is held out.
        image_size: Height and width that the model sees, in pixels.
        resize: The shorter side before the centre of `image_size` is cut out, in evaluation.
        check_counts: Refuse another number of images or classes than was published.
        seed: Of the split and the imbalance.
        train_seed: Of the batches and of augmentation; None is 0. Runs that differ in it alone are
            validated and tested on the same images; the command line fills in the run's seed.
        eval_batch_size: Images in a batch of validation and test.
        num_workers: Processes that read images.
        pin_memory: Put batches in page-locked memory, for faster copies to a GPU.

    Attributes:
        class_names: The name of each class index.
        split_hash: Names which image is in which split.

    Raises:
        ValueError: Not exactly one of P and K together, or batch_size.
    """

    published: Mapping[str, int] = {}
    validation: Literal["image_disjoint", "class_disjoint"] = "image_disjoint"

    train: ImageFiles
    val: ImageFiles
    test: ImageFiles

    def __init__(
        self,
        root: str,
        classes_per_batch: int | None = None,
        samples_per_class: int | None = None,
        batch_size: int | None = None,
        imbalance_ratio: float = 1.0,
        imbalance_shape: Literal["exponential", "step"] = "exponential",
        official_validation: bool = True,
        validation_fraction: float = 0.1,
        image_size: int = 224,
        resize: int = 256,
        check_counts: bool = True,
        seed: int = 0,
        train_seed: int | None = None,
        eval_batch_size: int = 128,
        num_workers: int = 4,
        pin_memory: bool = False,
    ) -> None:
        super().__init__()
        self.root = Path(root)
        self.batches = TrainingBatches(classes_per_batch, samples_per_class, batch_size)
        self.imbalance_ratio = imbalance_ratio
        self.imbalance_shape = imbalance_shape
        self.official_validation = official_validation
        self.validation_fraction = validation_fraction
        self.image_size = image_size
        self.resize = resize
        self.check_counts = check_counts
        self.seed = seed
        self.train_seed = train_seed or 0
        self.eval_batch_size = eval_batch_size
        self.num_workers = num_workers
        self.pin_memory = pin_memory

    def read(self) -> tuple[list[Listed], Int[np.ndarray, "n"], tuple[str, ...]]:
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
            refuse_other_counts(name, images, len(self.class_names), self.published)
        refuse_missing(images)
        part = np.array([image.part for image in images])
        train, val, test = self._split(part, classes)
        if self.validation == "image_disjoint":
            seen = np.bincount(classes[train], minlength=len(self.class_names))
            warn_never_seen(self.class_names, seen)
        files, labels = [image.file for image in images], torch.from_numpy(classes)
        plain = evaluation_transform(self.image_size, self.resize)
        augmented = training_transform(self.image_size)
        self.train = ImageFiles(files, labels, train, augmented, self.train_seed)
        self.val = ImageFiles(files, labels, val, plain, self.seed)
        self.test = ImageFiles(files, labels, test, plain, self.seed)
        self.split_hash = split_hash(train, val, test)
        self.train_sampler = self.batches.sampler(classes[train], self.train_seed)
        rank_zero_info(self._summary())

    def _split(
        self, part: Int[np.ndarray, "n"], classes: Int[np.ndarray, "n"]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """The indices of train, val and test."""
        train, val, test = (np.flatnonzero(part == number) for number in range(3))
        if not len(val) or not self.official_validation:
            both = np.union1d(train, val)
            kept, held = hold_out(
                classes[both], self.validation_fraction, self.validation, self.seed
            )
            train, val = both[kept], both[held]
        kept = long_tail(classes[train], self.imbalance_ratio, self.imbalance_shape, self.seed)
        return train[kept], val, test

    def _summary(self) -> str:
        sizes = ", ".join(
            f"{name} {len(split)} images of {len(set(split.labels.tolist()))} classes"
            for name, split in (("train", self.train), ("val", self.val), ("test", self.test))
        )
        return f"{type(self).__name__}: {sizes}"
