"""FGVC-Aircraft: a hundred variants of aircraft."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Int

from ranklight.datamodules.class_data import ClassData
from ranklight.datamodules.reading.annotations import SPLITS, Sample, rows


class FGVCAircraft(ClassData):
    """FGVC-Aircraft, 100 variants: 3,334 training, 3,333 validation, 3,333 test images.

    Maji, Rahtu, Kannala, Blaschko, Vedaldi, arXiv 1306.5151;
    https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft. `root` holds fgvc-aircraft-2013b/data, as
    with torchvision's class, with variants.txt, a name a line, images_variant_{train,val,test}.txt,
    a line "image name" each, where names may hold spaces, and images/{image}.jpg. Papers that
    report test accuracy train on trainval (6,667 images); `official_validation` false comes close.
    The photographs have a banner of 20 pixels with the copyright below, which is not cut off.

    Args:
        root: The folder that holds fgvc-aircraft-2013b.
        **options: Of `ClassData`.
    """

    published: Mapping[str, int] = {"train": 3334, "val": 3333, "test": 3333, "classes": 100}

    def read(self) -> tuple[list[Sample], Int[np.ndarray, "n"], tuple[str, ...]]:
        """The images, their classes, and the names of the classes."""
        data = self.root / "fgvc-aircraft-2013b" / "data"
        names = tuple(name for _, (name,) in rows(data / "variants.txt", 1, "variant"))
        number = {variant: index for index, variant in enumerate(names)}
        images, classes = [], []
        for split, name in enumerate(SPLITS):
            file = data / f"images_variant_{name}.txt"
            for location, (image, variant) in rows(file, 2, "image variant"):
                if variant not in number:
                    raise ValueError(f"{location}: the variant {variant!r} is not in variants.txt")
                images.append(Sample(data / "images" / f"{image}.jpg", split, location))
                classes.append(number[variant])
        return images, np.array(classes, dtype=np.int64), names
