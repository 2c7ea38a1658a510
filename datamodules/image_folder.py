"""Your own images: one folder a class."""

import os
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from ranklight.datamodules.loaders import (
    hold_out,
    split_hash,
)
from ranklight.datamodules.reading.image_files import (
    ImageFiles,
    evaluation_transform,
    refuse_empty,
    training_transform,
)
from ranklight.datamodules.samplers import ClassBalanced
from ranklight.datamodules.split_data import SplitData
from ranklight.kernels.distributed import rank_and_world_size

_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm"}


class ImageFolder(SplitData):
    """Image retrieval on a folder of images, `root/class name/any depth/image.jpg`.

    By default whole classes are held out for test, and of the others whole classes for validation:
    the model is scored on classes that it never saw. Where `root` has the folders `train` and
    `test`, and perhaps `val`, with the classes below, they are taken as they are; a class name
    in two of them is one class.

    Images are cut to squares and normalised as for networks that were trained on ImageNet. A class
    of one image is no query but stays in the gallery; in training it follows `short_classes`.

    Args:
        root: The folder.
        classes_per_batch: P.
        samples_per_class: K.
        short_classes: What happens in training to classes with fewer than K images: "repeat" some
            in a batch, "drop" the class, or "error".
        batches_per_epoch: Length of an epoch; by default training images // PK.
        test_fraction: How many of the classes are for test, without the folders above.
        validation: "class_disjoint": whole classes; "image_disjoint": of each class some images.
        validation_fraction: How much of the training part is for validation, without `val`.
        image_size: Height and width that the model sees, in pixels.
        resize: The shorter side before the centre of `image_size` is cut out, in evaluation.
        seed: Of the split.
        train_seed: Of the batches and of how training images are drawn; None is 0. Runs that differ
            in it alone are tested on the same images; the command line fills in the run's seed.
        eval_batch_size: Images in a batch of validation and test.
        num_workers: Processes that read images.
        pin_memory: Put batches in page-locked memory, for faster copies to a GPU.

    Attributes:
        class_names: The folder's name for each class index.
        split_hash: Names which file is in which split.
    """

    train: ImageFiles
    val: ImageFiles
    test: ImageFiles

    def __init__(
        self,
        root: str,
        classes_per_batch: int = 16,
        samples_per_class: int = 4,
        short_classes: Literal["repeat", "drop", "error"] = "repeat",
        batches_per_epoch: int | None = None,
        test_fraction: float = 0.5,
        validation: Literal["class_disjoint", "image_disjoint"] = "class_disjoint",
        validation_fraction: float = 0.2,
        image_size: int = 224,
        resize: int = 256,
        seed: int = 0,
        train_seed: int | None = None,
        eval_batch_size: int = 128,
        num_workers: int = 4,
        pin_memory: bool = False,
    ) -> None:
        super().__init__()
        self.root = Path(root)
        self.classes_per_batch = classes_per_batch
        self.samples_per_class = samples_per_class
        self.short_classes = short_classes
        self.batches_per_epoch = batches_per_epoch
        self.test_fraction = test_fraction
        self.validation = validation
        self.validation_fraction = validation_fraction
        self.image_size = image_size
        self.resize = resize
        self.seed = seed
        self.train_seed = train_seed or 0
        self.eval_batch_size = eval_batch_size
        self.num_workers = num_workers
        self.pin_memory = pin_memory

    def setup(self, stage: str | None = None) -> None:
        """List the files and split them; for training, refuse batches that they cannot fill.

        Raises:
            FileNotFoundError: There is no such folder, or no image in it.
            ValueError: An empty file, or fewer classes or images than a batch needs.
        """
        folders = _folders(self.root)
        files = [file for folder in folders for file in _image_files(folder)]
        refuse_empty(files)
        depth = len(self.root.parts) + (len(folders) > 1)
        names, classes = np.unique([file.parts[depth] for file in files], return_inverse=True)
        self.class_names: list[str] = names.tolist()
        train, val, test = self._split(files, folders, classes)
        labels = torch.from_numpy(classes)
        plain = evaluation_transform(self.image_size, self.resize)
        augmented = training_transform(self.image_size)
        self.train = ImageFiles(files, labels, train, augmented, self.train_seed)
        self.val = ImageFiles(files, labels, val, plain, self.seed)
        self.test = ImageFiles(files, labels, test, plain, self.seed)
        self.split_hash = split_hash(train, val, test)
        if stage in (None, "fit"):
            self.train_sampler = ClassBalanced(
                self.train.labels,
                self.classes_per_batch,
                self.samples_per_class,
                self.train_seed,
                self.short_classes,
                self.batches_per_epoch,
                *rank_and_world_size(),
            )

    def _split(
        self, files: list[Path], folders: list[Path], classes: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """The indices of train, val and test."""
        if len(folders) == 1:
            train, test = hold_out(classes, self.test_fraction, "class_disjoint", self.seed)
        else:
            part = np.array([file.parts[len(self.root.parts)] for file in files])
            train, test = np.flatnonzero(part == "train"), np.flatnonzero(part == "test")
            if (part == "val").any():
                return train, np.flatnonzero(part == "val"), test
        kept, held = hold_out(
            classes[train], self.validation_fraction, self.validation, self.seed + 1
        )
        return train[kept], train[held], test


def _folders(root: Path) -> list[Path]:
    """`train`, `val` and `test` in the root where they are, else the root itself."""
    if not root.is_dir():
        raise FileNotFoundError(f"the data folder {root} does not exist (from {Path.cwd()})")
    parts = [root / name for name in ("train", "val", "test") if (root / name).is_dir()]
    if not parts:
        return [root]
    if len(parts) == 1 or not (root / "train").is_dir() or not (root / "test").is_dir():
        raise FileNotFoundError(
            f"{root} has the folders {', '.join(part.name for part in parts)}; it needs train and "
            "test (val may be missing), or none of the three but one folder a class"
        )
    return parts


def _image_files(folder: Path) -> list[Path]:
    """The images in the class folders of a folder, in an order that no file system changes."""
    files = [
        Path(parent, name)
        for class_folder in sorted(folder.iterdir())
        if class_folder.is_dir()
        for parent, _, names in os.walk(class_folder)
        for name in names
        if Path(name).suffix.lower() in _SUFFIXES and not name.startswith(".")
    ]
    if not files:
        raise FileNotFoundError(
            f"no images in {folder}: looked for class folders with files that end in "
            f"{', '.join(sorted(_SUFFIXES))}"
        )
    return sorted(files)
