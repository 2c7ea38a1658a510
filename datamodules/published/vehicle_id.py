"""VehicleID: cars as surveillance cameras of a small city saw them."""

from typing import Any, Literal

import numpy as np

from ranklight.datamodules.query_gallery_data import (
    Part,
    QueryGalleryData,
    Shown,
    labelled_files,
)
from ranklight.datamodules.reading.annotations import integer, rows
from ranklight.datamodules.splits import rank_in_class
from ranklight.datamodules.table_data import LabelledFiles
from ranklight.kernels.checks import check_choice

TestList = Literal["small", "medium", "large"]
Protocol = Literal["re_identification", "retrieval"]
_VEHICLES = {"small": 800, "medium": 1600, "large": 2400}
_TEST_IMAGES = {"small": 6493, "medium": 13377, "large": 19777}
_TRAIN_IMAGES, _TRAIN_VEHICLES = 113346, 13164


class VehicleID(QueryGalleryData):
    """PKU VehicleID: 113,346 training images of 13,164 vehicles, three test lists of others.

    Liu, Tian, Yang, Pang, Huang, CVPR 2016; https://pkuml.org/resources/pku-vehicleid.html. `root`
    has train_test_split/train_list.txt, and test_list_800.txt (6,493 images), test_list_1600.txt
    (13,377) and test_list_2400.txt (19,777): a line "image vehicle" an image, which is
    image/{image}.jpg. The counts are those of the lists; the paper's table has others.

    "re_identification" is the paper's: one image of each vehicle, drawn by `split_seed`, is the
    gallery, and the others are the queries. The paper repeats it ten times and takes the mean: test
    with ten seeds. "retrieval" is how metric learning reads it: every image of the list is a query
    among the others, and **test has one loader**.

    Args:
        root: The folder with image/ and train_test_split/.
        test_list: Which of the three lists.
        protocol: What is searched among what.
        **options: Of `QueryGalleryData`.
    """

    def __init__(
        self,
        root: str,
        test_list: TestList = "small",
        protocol: Protocol = "re_identification",
        **options: Any,
    ) -> None:
        super().__init__(root, **options)
        check_choice(TestList, test_list=test_list)
        check_choice(Protocol, protocol=protocol)
        self.test_list = test_list
        self.protocol = protocol
        vehicles, images = _VEHICLES[test_list], _TEST_IMAGES[test_list]
        tested = (
            {"test": images}
            if protocol == "retrieval"
            else {"query": images - vehicles, "gallery": vehicles}
        )
        self.published = {
            "train": _TRAIN_IMAGES,
            "classes": _TRAIN_VEHICLES + vehicles,
            **tested,
        }

    def annotated(self) -> LabelledFiles:
        """The images and their vehicles."""
        train = self._listed("train_list.txt", "train")
        test = self._listed(f"test_list_{_VEHICLES[self.test_list]}.txt", "test")
        if self.protocol == "re_identification":
            _, vehicles = np.unique([image.class_name for image in test], return_inverse=True)
            first = rank_in_class(vehicles, self.split_seed) == 0
            test = [
                image._replace(part="gallery" if drawn else "query")
                for image, drawn in zip(test, first, strict=True)
            ]
        return labelled_files(self.root, train + test)

    def _listed(self, name: str, part: Part) -> list[Shown]:
        images = []
        for location, (image, vehicle) in rows(
            self.root / "train_test_split" / name, 2, "image vehicle"
        ):
            number = integer(location, vehicle, "the vehicle", 0)
            images.append(Shown(self.root / "image" / f"{image}.jpg", str(number), part, location))
        return images
