"""Your own images: one folder a class."""

import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from ranklight.datamodules.image_file_data import ImageFileData
from ranklight.datamodules.reading.annotations import SPLITS
from ranklight.datamodules.reading.image_files import ImageFiles, check_not_empty
from ranklight.datamodules.samplers import ClassBalanced
from ranklight.datamodules.splits import hold_out, split_hash
from ranklight.kernels.distributed import rank_and_world_size

_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm"}


class ImageFolder(ImageFileData):
    """Image retrieval on a folder of images, `root/class name/any depth/image.jpg`.

    By default whole classes are held out for test, and of the others whole classes for validation:
    the model is scored on classes that it never saw. Where `root` has the folders `train` and
    `test`, and perhaps `val`, with the classes below, they are taken as they are; a class name
    in two of them is one class.

    A class of one image is no query but stays in the gallery; in training it follows
    `short_classes`.

    Args:
        root: The folder.
        classes_per_batch: P.
        samples_per_class: K.
        short_classes: What happens in training to classes with fewer than K images: "repeat" some
            in a batch, "drop" the class, or "error".
        batches_per_epoch: Length of an epoch; by default training images // PK.
        test_fraction: How many of the classes are for test, without the folders above.
        validation: "class_disjoint": whole classes; "image_disjoint": of each class some images.
        validation_fraction: How much of the training split is for validation, without `val`.
        **options: Of `ImageFileData`: what is seen of pictures, seeds and loaders.

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
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.root = Path(root)
        self.classes_per_batch = classes_per_batch
        self.samples_per_class = samples_per_class
        self.short_classes = short_classes
        self.batches_per_epoch = batches_per_epoch
        self.test_fraction = test_fraction
        self.validation = validation
        self.validation_fraction = validation_fraction

    def setup(self, stage: str | None = None) -> None:
        """List the files and split them; for training, refuse batches that they cannot fill.

        Raises:
            FileNotFoundError: There is no such folder, or no image in it.
            ValueError: An empty file, or fewer classes or images than a batch needs.
        """
        folders = _folders(self.root)
        files = [file for folder in folders for file in _image_files(folder)]
        check_not_empty(files)
        depth = len(self.root.parts) + (len(folders) > 1)
        names, classes = np.unique([file.parts[depth] for file in files], return_inverse=True)
        self.class_names: list[str] = names.tolist()
        splits = self._split(files, folders, classes)
        self.train, self.val, self.test = self.pictures(
            files,
            torch.from_numpy(classes),
            splits,
        )
        self.split_hash = split_hash(*splits)
        if stage in (None, "fit"):
            self.train_sampler = ClassBalanced(
                self.train.labels,
                self.classes_per_batch,
                self.samples_per_class,
                self.seed,
                self.short_classes,
                self.batches_per_epoch,
                *rank_and_world_size(),
            )

    def _split(
        self, files: list[Path], folders: list[Path], classes: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """The indices of train, val and test."""
        if len(folders) == 1:
            train, test = hold_out(classes, self.test_fraction, "class_disjoint", self.split_seed)
        else:
            split = np.array([file.parts[len(self.root.parts)] for file in files])
            train, test = np.flatnonzero(split == "train"), np.flatnonzero(split == "test")
            if (split == "val").any():
                return train, np.flatnonzero(split == "val"), test
        rest, held_out = hold_out(
            classes[train], self.validation_fraction, self.validation, self.split_seed + 1
        )
        return train[rest], train[held_out], test


def _folders(root: Path) -> list[Path]:
    """`train`, `val` and `test` in the root where they are, else the root itself."""
    if not root.is_dir():
        raise FileNotFoundError(f"the data folder {root} does not exist (from {Path.cwd()})")
    splits = [root / name for name in SPLITS if (root / name).is_dir()]
    if not splits:
        return [root]
    if len(splits) == 1 or not (root / "train").is_dir() or not (root / "test").is_dir():
        raise FileNotFoundError(
            f"{root} has the folders {', '.join(split.name for split in splits)}; it needs train "
            "and test (val may be missing), or none of the three but one folder a class"
        )
    return splits


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
