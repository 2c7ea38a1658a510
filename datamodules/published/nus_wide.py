"""NUS-WIDE: which of 81 concepts fit a photograph?"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ranklight.datamodules.multi_label_data import MultiLabelData
from ranklight.datamodules.reading.annotations import Location, Sample, read_text, rows


class NUSWIDE(MultiLabelData):
    r"""NUS-WIDE with its 81 concepts: 161,789 training and 107,859 test images of Flickr.

    Chua et al., CIVR 2009; https://lms.comp.nus.edu.sg/research/NUS-WIDE.htm.
    `root` has ImageList/{Train,Test}Imagelist.txt, a line "folder\image.jpg" an image, which lies
    in Flickr/folder/image.jpg; and Groundtruth/TrainTestLabels/Labels_{concept}_{Train,Test}.txt, a
    line 0 or 1 for each. Columns are the concepts in alphabetical order. A fifth of the images has
    no concept; papers that leave them out (`unlabelled` "drop": 125,449 / 83,898), that lost images
    since, or that use other lists (150,000 / 59,347) cannot be compared. Validation is held out of
    the training split.

    Args:
        root: The folder with ImageList/, Groundtruth/ and Flickr/.
        **options: Of `MultiLabelData`.
    """

    published: Mapping[str, int] = {"train": 161789, "test": 107859, "classes": 81}

    def read(self) -> tuple[list[Sample], Float[Tensor, "n c"], tuple[str, ...]]:
        """The images, their labels, and the names of the classes."""
        folder = self.root / "Groundtruth" / "TrainTestLabels"
        concepts = tuple(sorted(file.name[7:-10] for file in folder.glob("Labels_*_Train.txt")))
        if not concepts:
            raise FileNotFoundError(
                f"there is no annotation file {folder}/Labels_{{concept}}_Train.txt"
            )
        train, test = self._images("Train", 0), self._images("Test", 2)
        columns = [
            _labels(folder / f"Labels_{concept}_{name}.txt", images)
            for name, images in (("Train", train), ("Test", test))
            for concept in concepts
        ]
        labels = [
            torch.stack(columns[: len(concepts)], 1),
            torch.stack(columns[len(concepts) :], 1),
        ]
        return train + test, torch.cat(labels), concepts

    def _images(self, name: str, split: int) -> list[Sample]:
        file = self.root / "ImageList" / f"{name}Imagelist.txt"
        return [
            Sample(self.root / "Flickr" / image.replace("\\", "/"), split, location)
            for location, (image,) in rows(file, 1, "folder\\image.jpg")
        ]


def _labels(file: Path, images: list[Sample]) -> Float[Tensor, " n"]:
    values = np.array([line.strip() for line in read_text(file).splitlines()])
    if len(values) != len(images):
        listed = f" in {images[0].location.file}" if images else ""
        raise ValueError(
            f"{file} has {len(values)} lines, but {len(images)} images are listed{listed}"
        )
    unknown = np.flatnonzero((values != "0") & (values != "1"))
    if len(unknown):
        location = Location(file, int(unknown[0]) + 1)
        raise ValueError(f"{location}: the label must be 0 or 1; got {str(values[unknown[0]])!r}")
    return torch.from_numpy((values == "1").astype(np.float32))
