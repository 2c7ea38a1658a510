"""MS-COCO: which of eighty kinds of objects does a photograph show?"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ranklight.datamodules.multi_label_data import MultiLabelData
from ranklight.datamodules.reading.annotations import Location, Sample, read_text
from ranklight.kernels.checks import check_choice

Year = Literal[2014, 2017]
_PUBLISHED = {
    2014: {"train": 82783, "test": 40504, "classes": 80},
    2017: {"train": 118287, "test": 5000, "classes": 80},
}


class COCO(MultiLabelData):
    """MS-COCO as multi-label classification: 80 classes, 82,783 / 40,504 (2014) images.

    Lin et al., ECCV 2014, arXiv 1405.0312; https://cocodataset.org. 2017 has 118,287 / 5,000.
    `root` has annotations/instances_{train,val}{year}.json and the images in {train,val}{year}/. A
    class is present if any instance of it is annotated, crowds included. Columns are the category
    ids in ascending order. The official val is the test split here, as in the multi-label
    literature, and validation is held out of train. Images without any instance (about 1 %) are
    kept unless `unlabelled` is "drop"; many papers list annotated images only.

    Args:
        root: The folder with annotations/ and the images' folders.
        year: 2014 or 2017.
        **options: Of `MultiLabelData`.
    """

    def __init__(self, root: str, year: Year = 2014, **options: Any) -> None:
        super().__init__(root, **options)
        check_choice(Year, year=year)
        self.year = year
        self.published = _PUBLISHED[year]

    def read(self) -> tuple[list[Sample], Float[Tensor, "n c"], tuple[str, ...]]:
        """The images, their labels, and the names of the classes."""
        train, train_labels, names = self._read(f"train{self.year}", 0)
        test, test_labels, test_names = self._read(f"val{self.year}", 2)
        if names != test_names:
            raise ValueError(
                f"{self._annotations(f'val{self.year}')} has other categories than that of train: "
                f"{sorted(set(names) ^ set(test_names))[:5]}"
            )
        return train + test, torch.cat([train_labels, test_labels]), names

    def _annotations(self, name: str) -> Path:
        return self.root / "annotations" / f"instances_{name}.json"

    def _read(
        self, name: str, split: int
    ) -> tuple[list[Sample], Float[Tensor, "n c"], tuple[str, ...]]:
        file = self._annotations(name)
        content = _instances(file)
        categories = sorted((entry["id"], entry["name"]) for entry in content["categories"])
        column = {category: number for number, (category, _) in enumerate(categories)}
        row = {image["id"]: number for number, image in enumerate(content["images"])}
        labels = torch.zeros(len(row), len(column))
        for number, instance in enumerate(content["annotations"], 1):
            _check_known(Location(file, number, "annotation"), instance, row, column)
            labels[row[instance["image_id"]], column[instance["category_id"]]] = 1
        samples = [
            Sample(self.root / name / image["file_name"], split, Location(file, number, "image"))
            for number, image in enumerate(content["images"], 1)
        ]
        return samples, labels, tuple(category for _, category in categories)


def _instances(file: Path) -> dict[str, list[dict[str, Any]]]:
    try:
        content: dict[str, list[dict[str, Any]]] = json.loads(read_text(file))
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{file}, line {error.lineno}, column {error.colno}: no complete JSON: {error.msg}"
        ) from error
    fields = {
        "images": {"id", "file_name"},
        "categories": {"id", "name"},
        "annotations": {"image_id", "category_id"},
    }
    for key, needed in fields.items():
        if not isinstance(content, dict) or key not in content:
            raise ValueError(f"{file}: needed the key {key!r} of an instances file")
        for number, entry in enumerate(content[key], 1):
            if not needed <= entry.keys():
                raise ValueError(
                    f"{file}, entry {number} of {key}: needed {sorted(needed)}; got {sorted(entry)}"
                )
    for key in ("images", "categories"):
        _check_once(file, key, [entry["id"] for entry in content[key]])
    return content


def _check_once(file: Path, key: str, ids: Sequence[Any]) -> None:
    first: dict[Any, int] = {}
    for number, given in enumerate(ids, 1):
        if first.setdefault(given, number) != number:
            raise ValueError(
                f"{file}, entry {number} of {key}: the id {given!r}, which entry {first[given]} has"
            )


def _check_known(
    location: Location, instance: dict[str, Any], images: dict[int, int], categories: dict[int, int]
) -> None:
    if instance["image_id"] not in images:
        raise ValueError(f"{location}: image_id {instance['image_id']} is not among the images")
    if instance["category_id"] not in categories:
        raise ValueError(
            f"{location}: category_id {instance['category_id']} is not among the "
            f"{len(categories)} categories"
        )
