"""What data sets of images with several labels share."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor

from ranklight.datamodules.image_file_data import ImageFileData
from ranklight.datamodules.reading.annotations import (
    Sample,
    check_files,
    check_published_counts,
    warn_never_seen,
)
from ranklight.datamodules.reading.image_files import ImageFiles
from ranklight.datamodules.reading.transforms import Transform, mirrored_whole, whole
from ranklight.datamodules.samplers import Shuffled
from ranklight.datamodules.splits import Fold, fold_or_fraction, hold_out, split_hash
from ranklight.kernels.checks import check_choice
from ranklight.kernels.distributed import rank_and_world_size

Unlabelled = Literal["keep", "drop"]
_DROPPED = -1


class MultiLabelData(ImageFileData):
    """Image files with multi-hot labels: 1, 0, or −1 for unknown, float32, one column a class.

    A data set says in `read` what its annotations hold; the rest is here. Validation is
    what `read` marks for it, or held out of training. A class that never occurs in training is
    warned of. By default the whole picture is seen, squashed to a
    square: a crop may leave out what the labels name.

    Args:
        root: The folder of the data set.
        batch_size: Images in the global batch of training, that of all ranks together.
        unlabelled: Images in which no class is 1: "keep" them, or "drop" them from all splits. The
            numbers of papers that differ in it cannot be compared.
        validation_fraction: How much of the training split is for validation, where `read` marks
            nothing for it.
        fold: [k, n]: of n folds of all that is not for test the one numbered k, from 0, is for
            validation, in place of either.
        check_counts: Refuse another number of images or classes than was published.
        **options: Of `ImageFileData`: what is seen of pictures, seeds and loaders.

    Attributes:
        class_names: One a column.
        split_hash: Names which image is in which split.
    """

    published: Mapping[str, int] = {}

    train: ImageFiles
    val: ImageFiles
    test: ImageFiles

    def __init__(
        self,
        root: str,
        batch_size: int = 32,
        unlabelled: Unlabelled = "keep",
        validation_fraction: float = 0.1,
        fold: Fold | None = None,
        check_counts: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.root = Path(root)
        self.batch_size = batch_size
        self.unlabelled = unlabelled
        check_choice(Unlabelled, unlabelled=unlabelled)
        self.held_out = fold_or_fraction(fold, validation_fraction)
        self.check_counts = check_counts

    def default_train_transforms(self) -> list[Transform]:
        """The whole picture, mirrored half of the time."""
        return mirrored_whole(self.image_size)

    def default_eval_transforms(self) -> list[Transform]:
        """The whole picture."""
        return whole(self.image_size)

    def read(self) -> tuple[list[Sample], Float[Tensor, "n c"], tuple[str, ...]]:
        """The images, their labels, and the names of the classes."""
        raise NotImplementedError

    def setup(self, stage: str | None = None) -> None:
        """Read the annotations, look for the images, and split them.

        Raises:
            FileNotFoundError: An annotation file or an image is missing.
            ValueError: Annotations that cannot be, other counts than the published ones, an empty
                image file, or fewer images than a batch.
        """
        images, labels, self.class_names = self.read()
        if self.check_counts:
            name = type(self).__name__
            check_published_counts(name, images, len(self.class_names), self.published)
        check_files(images)
        published = np.array([image.split for image in images])
        if self.unlabelled == "drop":
            published[~(labels == 1).any(1).numpy()] = _DROPPED
        splits = self._split(published)
        self.train, self.val, self.test = self.pictures(
            [image.file for image in images],
            labels,
            splits,
            [image.location for image in images],
        )
        self.split_hash = split_hash(*splits)
        self.warn_of_copies()
        rank_zero_info(self._summary(int((published == _DROPPED).sum())))
        warn_never_seen(self.class_names, (self.train.labels == 1).sum(0).numpy())
        self.train_sampler = Shuffled(
            len(self.train), self.batch_size, self.seed, *rank_and_world_size()
        )

    def _split(
        self, published: Int[np.ndarray, "n"]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """The indices of train, val and test; given are 0, 1 and 2 for the published ones."""
        train, val, test = (np.flatnonzero(published == split) for split in range(3))
        if len(val) and not isinstance(self.held_out, tuple):
            return train, val, test
        train = np.union1d(train, val)
        rest, held_out = hold_out(
            np.zeros_like(train),
            self.held_out,
            "image_disjoint",
            self.split_seed,
        )
        return train[rest], train[held_out], test

    def _summary(self, dropped: int) -> str:
        sizes = ", ".join(
            f"{name} {len(split)} ({(split.labels == 1).sum(1).float().mean():.2f} labels an image)"
            for name, split in (("train", self.train), ("val", self.val), ("test", self.test))
        )
        without = f", {dropped} without labels dropped" if dropped else ""
        return f"{type(self).__name__}: {len(self.class_names)} classes; {sizes}{without}"
