"""iNaturalist 2018 for retrieval: species that training never saw."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from jaxtyping import Int

from ranklight.datamodules.class_data import ClassData
from ranklight.datamodules.reading.annotations import Sample, check_disjoint, folder_within, rows


class INaturalist2018(ClassData):
    """iNaturalist 2018 by species: 325,846 images of 5,690 for training, 136,093 of 2,452 for test.

    Van Horn et al., CVPR 2018, arXiv 1707.06642; https://github.com/visipedia/inat_comp. The split
    is that of Brown et al., Smooth-AP, ECCV 2020, arXiv 2007.12163, whose release has it. `root`
    has Inat_dataset_splits/Inaturalist_train_set1.txt and Inaturalist_test_set1.txt, which may lie
    in `root` itself: a line "train_val2018/Plantae/7390/image.jpg" an image, a path from `root`.
    The class is the species, `Plantae/7390`, and the level `super_class` the kingdom or class above
    it. Every test image is a query among the others. Whole species of the training split are held
    out for validation.

    Args:
        root: The folder with train_val2018/ and the lists.
        **options: Of `ClassData`.
    """

    published: Mapping[str, int] = {"train": 325846, "test": 136093, "classes": 8142}
    validation: Literal["image_disjoint", "class_disjoint"] = "class_disjoint"

    def read(self) -> tuple[list[Sample], Int[np.ndarray, "n"], tuple[str, ...]]:
        """The images, their species, and the names of these."""
        folder = folder_within(self.root, "Inat_dataset_splits")
        images, written = [], []
        for name, split in (("train", 0), ("test", 2)):
            file = folder / f"Inaturalist_{name}_set1.txt"
            for location, (path,) in rows(file, 1, "train_val2018/Plantae/7390/image.jpg"):
                if path.count("/") < 3:
                    raise ValueError(
                        f"{location}: needed a path as train_val2018/Plantae/7390/image.jpg, which "
                        f"names the species; got {path!r}"
                    )
                images.append(Sample(self.root / path, split, location))
                written.append("/".join(path.split("/")[-3:-1]))
        names, species = np.unique(written, return_inverse=True)
        splits = np.array([image.split for image in images])
        check_disjoint(species, splits, [image.location for image in images])
        above = np.unique([name.split("/")[0] for name in names], return_inverse=True)[1]
        images = [
            image._replace(super_class=int(above[number]))
            for image, number in zip(images, species, strict=True)
        ]
        return images, species.astype(np.int64), tuple(names.tolist())
