"""Your own images: one folder a class."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from pytorch_lightning.utilities import rank_zero_warn

from ranklight.datamodules.batches import Batches, PxK
from ranklight.datamodules.labels.one_class import one_class
from ranklight.datamodules.reading.annotations import SPLITS
from ranklight.datamodules.reading.class_folders import read_class_folders, split_names_as_classes
from ranklight.datamodules.samplers.by_class import ShortClasses
from ranklight.datamodules.splits import Fold, Validation, fold_or_fraction
from ranklight.datamodules.table_data import LabelledFiles, TableData
from ranklight.datamodules.table_splits import HoldOut, Places
from ranklight.kernels.checks import check_choice


class ImageFolder(TableData):
    """Image retrieval on a folder of images, `root/class name/any depth/image.jpg`.

    By default whole classes are held out for test, and of the others whole classes for validation:
    the model is scored on classes that it never saw. Where `root` has the folders `train` and
    `test`, perhaps `val`, and no others, with the classes below, they are taken as they are; a
    class name in two of them is one class.

    A class of one image is no query but stays in the gallery; in training it follows
    `short_classes`. Links are followed; what is hidden, beside the class folders or no image is
    left out, and counted in the log.

    Args:
        root: The folder.
        classes_per_batch: P.
        samples_per_class: K.
        short_classes: What happens in training to classes with fewer than K images: "repeat" some
            in a batch, "drop" the class, or "error".
        batches_per_epoch: Length of an epoch; by default training images // PK.
        batches: Instead of these: batches of another kind, such as `HardClassBatches`,
            `SuperClassBatches`, `WeightedPxK` or `ViewBatches`.
        test_fraction: How many of the classes are for test, without the folders above.
        validation: "class_disjoint": whole classes; "image_disjoint": of each class some images.
        validation_fraction: How much of the training split is for validation, without `val`.
        fold: [k, n]: of n folds of all that is not for test the one numbered k, from 0, is for
            validation, in place of either.
        **options: Of `ImageFileData`: what is seen of pictures, seeds and loaders.

    Attributes:
        class_names: The folder's name for each class index.
        split_hash: Names which file is in which split.
    """

    def __init__(
        self,
        root: str,
        classes_per_batch: int = 16,
        samples_per_class: int = 4,
        short_classes: ShortClasses = "repeat",
        batches_per_epoch: int | None = None,
        batches: Batches | None = None,
        test_fraction: float = 0.5,
        validation: Validation = "class_disjoint",
        validation_fraction: float = 0.2,
        fold: Fold | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.root = Path(root)
        self.batches = batches or PxK(
            classes_per_batch, samples_per_class, short_classes, batches_per_epoch
        )
        check_choice(Validation, validation=validation)
        by: Literal["class", "image"] = "class" if validation == "class_disjoint" else "image"
        self.held_out = HoldOut(
            "class", by, test_fraction, fold_or_fraction(fold, validation_fraction)
        )

    def read(self) -> LabelledFiles:
        """The files in the class folders."""
        files, splits, classes, left_out = read_class_folders(self.root)
        names, codes = np.unique(np.array(classes, dtype=object), return_inverse=True)
        if strange := split_names_as_classes(classes):
            rank_zero_warn(
                f"{self.root} has other folders beside {', '.join(strange)}, so these are taken "
                "for classes; they are splits where no other folder is there"
            )
        nothing = np.full(len(files), -1)
        split = np.array([SPLITS.index(name) for name in splits]) if splits else None
        return LabelledFiles(
            str(self.root),
            [str(file) for file in files],
            one_class(names.tolist(), codes),
            Places(split, nothing, nothing),
            notes=(left_out,),
        )
