"""Stanford Online Products: 22,634 things that were for sale."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from jaxtyping import Int

from ranklight.datamodules.class_data import ClassData
from ranklight.datamodules.reading.annotations import Sample, check_disjoint, integer, rows


class StanfordOnlineProducts(ClassData):
    """Stanford Online Products: 59,551 training and 60,502 test images of other products.

    Oh Song, Xiang, Jegelka, Savarese, CVPR 2016, arXiv 1511.06452;
    https://cvgl.stanford.edu/projects/lifted_struct. `root` is the folder Stanford_Online_Products
    with Ebay_train.txt (11,318 products) and Ebay_test.txt (11,316): a heading, then a line
    "image_id class_id super_class_id path" an image. Whole products of the training split are held
    out for validation. The super-class, one of 12 kinds of things, is a level of its own.

    Args:
        root: The folder Stanford_Online_Products.
        **options: Of `ClassData`.
    """

    published: Mapping[str, int] = {"train": 59551, "test": 60502, "classes": 22634}
    validation: Literal["image_disjoint", "class_disjoint"] = "class_disjoint"

    def read(self) -> tuple[list[Sample], Int[np.ndarray, "n"], tuple[str, ...]]:
        """The images, their classes, and the names of the classes, which are their numbers."""
        needed = "image_id class_id super_class_id path"
        images, products = [], []
        for name, split in (("Ebay_train.txt", 0), ("Ebay_test.txt", 2)):
            for location, (_, product, above, path) in rows(self.root / name, 4, needed, skip=1):
                super_class = integer(location, above, "the super-class", 1)
                images.append(Sample(self.root / path, split, location, super_class))
                products.append(integer(location, product, "the class", 1))
        splits = np.array([image.split for image in images])
        numbers, classes = np.unique(products, return_inverse=True)
        check_disjoint(classes, splits, [image.location for image in images])
        return images, classes.astype(np.int64), tuple(map(str, numbers.tolist()))
