"""What data sets of images with several labels share."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor

from ranklight.datamodules.loaders import (
    hold_out,
    split_hash,
)
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
from ranklight.datamodules.samplers import Shuffled
from ranklight.datamodules.split_data import SplitData
from ranklight.kernels.distributed import rank_and_world_size


class MultiLabelData(SplitData):
    """Image files with multi-hot labels: 1, 0, or −1 for unknown, float32, one column a class.

    A data set says in `read` what its annotations hold; the rest is here. None of these data sets
    has a validation part apart from what papers test on, so one is held out of training. A class
    that never occurs in training is warned of. Images are cut to squares and normalised as for
    networks that were trained on ImageNet.

    Args:
        root: The folder of the data set.
        batch_size: Images in the global batch of training, that of all ranks together.
        unlabelled: Images in which no class is 1: "keep" them, or "drop" them from all parts. The
            numbers of papers that differ in it cannot be compared.
        validation_fraction: How much of the training part is for validation.
        image_size: Height and width that the model sees, in pixels.
        resize: The shorter side before the centre of `image_size` is cut out, in evaluation.
        check_counts: Refuse another number of images or classes than was published.
        seed: Of the split.
        train_seed: Of the batches and of augmentation; None is 0. Runs that differ in it alone are
            validated and tested on the same images.
        eval_batch_size: Images in a batch of validation and test.
        num_workers: Processes that read images.
        pin_memory: Put batches in page-locked memory, for faster copies to a GPU.

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
        unlabelled: Literal["keep", "drop"] = "keep",
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
        self.batch_size = batch_size
        self.unlabelled = unlabelled
        self.validation_fraction = validation_fraction
        self.image_size = image_size
        self.resize = resize
        self.check_counts = check_counts
        self.seed = seed
        self.train_seed = train_seed or 0
        self.eval_batch_size = eval_batch_size
        self.num_workers = num_workers
        self.pin_memory = pin_memory

    def read(self) -> tuple[list[Listed], Float[Tensor, "n c"], tuple[str, ...]]:
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
            refuse_other_counts(name, images, len(self.class_names), self.published)
        refuse_missing(images)
        self._split(images, labels)
        warn_never_seen(self.class_names, (self.train.labels == 1).sum(0).numpy())
        self.train_sampler = Shuffled(
            len(self.train), self.batch_size, self.train_seed, *rank_and_world_size()
        )

    def _split(self, images: list[Listed], labels: Float[Tensor, "n c"]) -> None:
        part = np.array([image.part for image in images])
        if self.unlabelled == "drop":
            part[~(labels == 1).any(1).numpy()] = -1
        train, test = np.flatnonzero(part == 0), np.flatnonzero(part == 2)
        kept, held = hold_out(
            np.zeros_like(train), self.validation_fraction, "image_disjoint", self.seed
        )
        files = [image.file for image in images]
        plain = evaluation_transform(self.image_size, self.resize)
        augmented = training_transform(self.image_size)
        self.train = ImageFiles(files, labels, train[kept], augmented, self.train_seed)
        self.val = ImageFiles(files, labels, train[held], plain, self.seed)
        self.test = ImageFiles(files, labels, test, plain, self.seed)
        self.split_hash = split_hash(train[kept], train[held], test)
        rank_zero_info(self._summary(part))

    def _summary(self, part: NDArray[np.int64]) -> str:
        sizes = ", ".join(
            f"{name} {len(split)} ({(split.labels == 1).sum(1).float().mean():.2f} labels an image)"
            for name, split in (("train", self.train), ("val", self.val), ("test", self.test))
        )
        dropped = f", {(part < 0).sum()} without labels dropped" if (part < 0).any() else ""
        return f"{type(self).__name__}: {len(self.class_names)} classes; {sizes}{dropped}"
