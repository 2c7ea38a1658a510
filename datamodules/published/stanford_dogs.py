"""Stanford Dogs: 120 breeds."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Int

from ranklight.datamodules.class_data import ClassData
from ranklight.datamodules.reading.annotations import Location, Sample, integer, matlab

_BREEDS = 120


class StanfordDogs(ClassData):
    """Stanford Dogs: 120 breeds, 12,000 training and 8,580 test images.

    Khosla, Jayadevaprakash, Yao, Fei-Fei, FGVC workshop at CVPR 2011;
    http://vision.stanford.edu/aditya86/ImageNetDogs. `root` has train_list.mat and test_list.mat,
    perhaps in the folder lists, with `file_list` and `labels` (1..120), and the images in Images/.
    A breed's name is that of its folder. Validation is held out of training, of each class some.

    Args:
        root: The folder with Images/ and the lists.
        **options: Of `ClassData`.
    """

    published: Mapping[str, int] = {"train": 12000, "test": 8580, "classes": _BREEDS}

    def read(self) -> tuple[list[Sample], Int[np.ndarray, "n"], tuple[str, ...]]:
        """The images, their classes, and the names of the classes."""
        folder = self.root / "lists" if (self.root / "lists").is_dir() else self.root
        names = {breed: str(breed) for breed in range(1, _BREEDS + 1)}
        images, classes = [], []
        for file, split in ((folder / "train_list.mat", 0), (folder / "test_list.mat", 2)):
            paths, labels = matlab(file, "file_list", "labels")
            if len(paths) != len(labels):
                raise ValueError(f"{file}: {len(paths)} entries of file_list, {len(labels)} labels")
            for entry, (path, label) in enumerate(zip(paths, labels, strict=True), 1):
                location, image = Location(file, entry, "entry"), str(np.asarray(path).item())
                breed = integer(location, label, "the class", 1, _BREEDS)
                names[breed] = image.split("/")[0].partition("-")[2] or names[breed]
                images.append(Sample(self.root / "Images" / image, split, location))
                classes.append(breed - 1)
        return images, np.array(classes, dtype=np.int64), tuple(names.values())
