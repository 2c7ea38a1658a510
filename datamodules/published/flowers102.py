"""Oxford Flowers: 102 kinds of flowers."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Int

from ranklight.datamodules.class_data import ClassData
from ranklight.datamodules.reading.annotations import Location, Sample, integer, matlab

_KINDS = 102


class Flowers102(ClassData):
    """Oxford Flowers: 102 kinds, 1,020 training, 1,020 validation, 6,149 test images.

    Nilsback, Zisserman, ICVGIP 2008; https://www.robots.ox.ac.uk/~vgg/data/flowers/102. `root`
    holds flowers-102, as with torchvision's class, with imagelabels.mat (`labels`, 1..102, one an
    image), setid.mat (`trnid`, `valid`, `tstid`, numbers of images from 1) and jpg/image_00001.jpg.
    Ten images of each kind are for training; some papers train on the test split instead, and
    others, with 2,040, on validation too.

    Args:
        root: The folder that holds flowers-102.
        **options: Of `ClassData`.
    """

    published: Mapping[str, int] = {"train": 1020, "val": 1020, "test": 6149, "classes": _KINDS}

    def read(self) -> tuple[list[Sample], Int[np.ndarray, "n"], tuple[str, ...]]:
        """The images, their classes, and the names of the classes, which are their numbers."""
        folder = self.root / "flowers-102"
        labels_file, sets_file = folder / "imagelabels.mat", folder / "setid.mat"
        (labels,) = matlab(labels_file, "labels")
        images, classes = [], []
        for split, numbers in enumerate(matlab(sets_file, "trnid", "valid", "tstid")):
            for entry, number in enumerate(numbers, 1):
                location = Location(sets_file, entry, f"{('trnid', 'valid', 'tstid')[split]} entry")
                image = integer(location, number, "the number of an image", 1, len(labels))
                of_label = Location(labels_file, image, "labels entry")
                label = integer(of_label, labels[image - 1], "the class", 1, _KINDS)
                images.append(Sample(folder / "jpg" / f"image_{image:05d}.jpg", split, location))
                classes.append(label - 1)
        names = tuple(str(kind + 1) for kind in range(_KINDS))
        return images, np.array(classes, dtype=np.int64), names
