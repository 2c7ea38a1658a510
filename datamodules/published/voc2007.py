"""PASCAL VOC 2007: which of twenty kinds of objects does a photograph show?"""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ranklight.datamodules.multi_label_data import MultiLabelData
from ranklight.datamodules.reading.annotations import Location, Sample, check_same_images, rows
from ranklight.kernels.checks import check_choice

CLASSES = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)


Difficult = Literal["positive", "negative", "unknown"]


class VOC2007(MultiLabelData):
    """PASCAL VOC 2007 as multi-label classification: 20 classes, 5,011 trainval and 4,952 test.

    Everingham, Van Gool, Williams, Winn, Zisserman, IJCV 2010;
    http://host.robots.ox.ac.uk/pascal/VOC/voc2007. `root` is the folder VOC2007 with JPEGImages and
    ImageSets/Main, where {class}_trainval.txt and {class}_test.txt have a line "image label" an
    image: 1, −1 for absent, 0 where all objects of the class are marked difficult. Validation is
    held out of trainval; the official val (2,510 images) is half of it, and papers train on both.

    Args:
        root: The folder VOC2007.
        difficult: What a class with difficult objects only counts as. "unknown": −1, left out of
            losses and scores, as in the devkit's evaluation.
        **options: Of `MultiLabelData`.
    """

    published: Mapping[str, int] = {"train": 5011, "test": 4952, "classes": 20}

    def __init__(
        self,
        root: str,
        difficult: Difficult = "unknown",
        **options: Any,
    ) -> None:
        super().__init__(root, **options)
        check_choice(Difficult, difficult=difficult)
        self.difficult = difficult

    def read(self) -> tuple[list[Sample], Float[Tensor, "n c"], tuple[str, ...]]:
        """The images, their labels, and the names of the classes."""
        train, train_labels = self._read("trainval", 0)
        test, test_labels = self._read("test", 2)
        return train + test, torch.cat([train_labels, test_labels]), CLASSES

    def _read(self, name: str, split: int) -> tuple[list[Sample], Float[Tensor, "n c"]]:
        columns: list[list[float]] = []
        locations: list[Location] = []
        images: list[str] = []
        for number, class_name in enumerate(CLASSES):
            locations, names, column = self._class(f"{class_name}_{name}.txt")
            images = images if number else names
            check_same_images(locations, names, images)
            columns.append(column)
        photographs = self.root / "JPEGImages"
        samples = [
            Sample(photographs / f"{image}.jpg", split, location)
            for image, location in zip(images, locations, strict=True)
        ]
        return samples, torch.tensor(columns).T.contiguous()

    def _class(self, name: str) -> tuple[list[Location], list[str], list[float]]:
        difficult = {"positive": 1.0, "negative": 0.0, "unknown": -1.0}[self.difficult]
        meaning = {"1": 1.0, "-1": 0.0, "0": difficult}
        locations, names, labels = [], [], []
        for location, (image, label) in rows(
            self.root / "ImageSets" / "Main" / name, 2, "image label"
        ):
            if label not in meaning:
                raise ValueError(
                    f"{location}: the label must be 1, -1 or 0 (difficult); got {label!r}"
                )
            locations.append(location)
            names.append(image)
            labels.append(meaning[label])
        return locations, names, labels
