"""NABirds: 555 kinds of North American birds."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Int

from ranklight.datamodules.class_data import ClassData
from ranklight.datamodules.published.bird_files import read_birds
from ranklight.datamodules.reading.annotations import Sample


class NABirds(ClassData):
    """NABirds: 555 visual categories of 400 species, 23,929 training and 24,633 test images.

    Van Horn et al., CVPR 2015; https://dl.allaboutbirds.org/nabirds. `root` is the folder nabirds
    with images/, images.txt, image_class_labels.txt, train_test_split.txt and classes.txt, see
    `bird_files`. Class ids are sparse, 555 of the 1,011 nodes of a hierarchy, and are
    numbered anew in their order. Validation is held out of training, of each class some.

    Args:
        root: The folder nabirds.
        **options: Of `ClassData`.
    """

    published: Mapping[str, int] = {"train": 23929, "test": 24633, "classes": 555}

    def read(self) -> tuple[list[Sample], Int[np.ndarray, "n"], tuple[str, ...]]:
        """The images, their classes, and the names of the classes."""
        birds, names = read_birds(self.root)
        number = {key: index for index, key in enumerate(names)}
        images = [
            Sample(self.root / "images" / bird.path, 0 if bird.training else 2, bird.location)
            for bird in birds
        ]
        classes = np.array([number[bird.class_id] for bird in birds], dtype=np.int64)
        return images, classes, tuple(names.values())
