"""Market-1501: people in front of a supermarket, before six cameras."""

import re
from collections.abc import Mapping

from ranklight.datamodules.query_gallery_data import (
    Part,
    QueryGalleryData,
    Shown,
    labelled_files,
)
from ranklight.datamodules.reading.annotations import Location
from ranklight.datamodules.reading.found import LeftOut
from ranklight.datamodules.table_data import LabelledFiles

_FOLDERS: Mapping[Part, str] = {
    "train": "bounding_box_train",
    "query": "query",
    "gallery": "bounding_box_test",
}
_NAME = re.compile(r"(-1|\d{4})_c([1-6])s\d_\d{6}_\d{2}\.jpg(\.jpg)?")
_JUNK, _DISTRACTOR = "-1", "0000"


class Market1501(QueryGalleryData):
    """Market-1501: 12,936 training images of 751 people, 3,368 queries of 750 others.

    Zheng et al., ICCV 2015; https://zheng-lab-anu.github.io/Project/project_reid.html. `root` is
    the folder Market-1501-v15.09.15 with bounding_box_train/, query/ and bounding_box_test/, where
    a file's name begins with the person and the camera: 0002_c1s1_000451_03.jpg. The gallery has
    15,913 images, of which 2,798 are distractors, person 0000. The 3,819 of person −1, badly cut
    out, are left out: the protocol takes them out of every ranking, where they are neither right
    nor wrong. The camera is the image's `group`: **what the query's own camera saw of the same
    person is junk, too**, which the evaluation leaves out when told `apart: class_and_group`. Whole
    people of training are held out for validation.

    Args:
        root: The folder Market-1501-v15.09.15.
        **options: Of `QueryGalleryData`.
    """

    published: Mapping[str, int] = {
        "train": 12936,
        "query": 3368,
        "gallery": 15913,
        "distractor": 2798,
        "classes": 1501,
    }

    def annotated(self) -> LabelledFiles:
        """The images, with people as classes and cameras as groups."""
        images, left_out = [], LeftOut(self.root)
        for part, name in _FOLDERS.items():
            folder = self.root / name
            if not folder.is_dir():
                raise FileNotFoundError(
                    f"Market-1501 needs the folder {folder}, which does not exist"
                )
            # Beside the images lies a Thumbs.db.
            for number, file in enumerate(sorted(folder.glob("*.jpg")), 1):
                written = _NAME.fullmatch(file.name)
                if not written:
                    raise ValueError(f"{file}: needed a name as 0002_c1s1_000451_03.jpg")
                person, camera = written[1], f"camera {written[2]}"
                if person == _JUNK:
                    left_out.add("junk", file)
                    continue
                place: Part = "distractor" if person == _DISTRACTOR else part
                images.append(Shown(file, person, place, Location(folder, number, "file"), camera))
        return labelled_files(self.root, images, notes=(left_out,))
