"""CUB-200-2011: 200 kinds of birds."""

from typing import Any, Literal

import numpy as np
from jaxtyping import Int

from ranklight.datamodules.class_data import ClassData
from ranklight.datamodules.published.bird_files import read_birds
from ranklight.datamodules.reading.annotations import Sample
from ranklight.kernels.checks import check_choice

Protocol = Literal["classification", "retrieval"]
_PUBLISHED = {
    "retrieval": {"train": 5864, "test": 5924, "classes": 200},
    "classification": {"train": 5994, "test": 5794, "classes": 200},
}


class CUB200(ClassData):
    """CUB-200-2011: 200 kinds of birds, 11,788 images.

    Wah, Branson, Welinder, Perona, Belongie, Caltech 2011;
    https://www.vision.caltech.edu/datasets/cub_200_2011. `root` is the folder CUB_200_2011 with
    images/, images.txt, image_class_labels.txt, train_test_split.txt and classes.txt, see
    `bird_files`. "retrieval" trains on the first 100 classes (5,864 images) and tests
    on the others (5,924), and whole classes are held out for validation; "classification" is the
    published split (5,994 / 5,794), and of each class some images are held out.

    Args:
        root: The folder CUB_200_2011.
        protocol: Which split, and with it what is measured.
        **options: Of `ClassData`.
    """

    def __init__(
        self,
        root: str,
        protocol: Protocol = "retrieval",
        **options: Any,
    ) -> None:
        super().__init__(root, **options)
        check_choice(Protocol, protocol=protocol)
        self.protocol = protocol
        self.published = _PUBLISHED[protocol]
        self.validation = "class_disjoint" if protocol == "retrieval" else "image_disjoint"

    def read(self) -> tuple[list[Sample], Int[np.ndarray, "n"], tuple[str, ...]]:
        """The images, their classes, and the names of the classes."""
        birds, names = read_birds(self.root)
        number = {key: index for index, key in enumerate(names)}
        images = []
        for bird in birds:
            first_half = int(bird.class_id) <= 100
            training = first_half if self.protocol == "retrieval" else bird.training
            file = self.root / "images" / bird.path
            images.append(Sample(file, 0 if training else 2, bird.location))
        classes = np.array([number[bird.class_id] for bird in birds], dtype=np.int64)
        return images, classes, tuple(names.values())
