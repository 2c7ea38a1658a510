"""In-Shop: clothes of DeepFashion, to be found again in other poses."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ranklight.datamodules.query_gallery_data import (
    Part,
    QueryGalleryData,
    Shown,
    labelled_files,
)
from ranklight.datamodules.reading.annotations import Location, folder_within, integer, rows
from ranklight.datamodules.reading.boxes import cut_to_pictures
from ranklight.datamodules.table_data import LabelledFiles

_PARTS: Mapping[str, Part] = {"train": "train", "query": "query", "gallery": "gallery"}
_FARTHEST = 1 << 16


class InShop(QueryGalleryData):
    """DeepFashion In-Shop: 25,882 training images, 14,218 queries in a gallery of 12,612.

    Liu, Luo, Qiu, Wang, Tang, CVPR 2016; https://mmlab.ie.cuhk.edu.hk/projects/DeepFashion.html.
    `root` has Eval/list_eval_partition.txt: the number of images, a heading, then a line
    "image_name item_id evaluation_status" an image; the images in Img/img/; and for `boxes`
    Anno/list_bbox_inshop.txt, likewise with "image_name clothes_type pose_type x_1 y_1 x_2 y_2".
    The files may lie in `root` itself. 3,997 items are for training, 3,985 others for testing. The
    level `super_class` is the kind of clothes, `WOMEN/Dresses`, which the path names.

    Args:
        root: The folder with Eval/, Img/ and perhaps Anno/.
        boxes: See only the clothes, cut out by their boxes; papers see the whole picture.
        **options: Of `QueryGalleryData`.
    """

    published: Mapping[str, int] = {
        "train": 25882,
        "query": 14218,
        "gallery": 12612,
        "classes": 7982,
    }

    def __init__(self, root: str, boxes: bool = False, **options: Any) -> None:
        super().__init__(root, **options)
        self.boxes = boxes

    def annotated(self) -> LabelledFiles:
        """The images, their items, and the kinds of clothes."""
        file = folder_within(self.root, "Eval") / "list_eval_partition.txt"
        folder = folder_within(self.root, "Img")
        images, names = [], []
        for location, (name, item, part) in rows(
            file, 3, "image_name item_id evaluation_status", skip=2
        ):
            images.append(Shown(folder / name, item, _part(location, part), location))
            names.append(name)
        levels = {"super_class": _kinds(images, names)}
        boxes = self._boxes(images, names) if self.boxes else None
        return labelled_files(self.root, images, boxes, levels)

    def _boxes(
        self, images: Sequence[Shown], names: Sequence[str]
    ) -> Float[np.ndarray, "images 4"]:
        known = _read_boxes(folder_within(self.root, "Anno") / "list_bbox_inshop.txt")
        for image, name in zip(images, names, strict=True):
            if name not in known:
                raise ValueError(f"{image.location}: {name} has no box in list_bbox_inshop.txt")
        boxes = np.array([known[name] for name in names], np.float64)
        return cut_to_pictures([str(image.file) for image in images], boxes)


def _part(location: Location, written: str) -> Part:
    if written not in _PARTS:
        raise ValueError(
            f"{location}: the evaluation status must be one of {', '.join(_PARTS)}; got {written!r}"
        )
    return _PARTS[written]


def _kinds(images: Sequence[Shown], names: Sequence[str]) -> Int[np.ndarray, "images"]:
    """The number of each image's kind of clothes, the second and third folder of its path."""
    for image, name in zip(images, names, strict=True):
        if name.count("/") < 4:
            raise ValueError(
                f"{image.location}: needed an image as img/WOMEN/Dresses/id_00000002/"
                f"02_1_front.jpg, whose path names the kind of clothes; got {name!r}"
            )
    kinds = ["/".join(name.split("/")[1:3]) for name in names]
    return np.unique(kinds, return_inverse=True)[1].astype(np.int64)


def _read_boxes(file: Path) -> dict[str, list[int]]:
    boxes = {}
    needed = "image_name clothes_type pose_type x_1 y_1 x_2 y_2"
    for location, (name, _, _, *sides) in rows(file, 7, needed, skip=2):
        boxes[name] = [
            integer(location, side, "a side of a box", -_FARTHEST, _FARTHEST) for side in sides
        ]
    return boxes
