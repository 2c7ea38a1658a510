"""Stanford Cars: 196 models."""

from typing import Any, Literal

import numpy as np
from jaxtyping import Int

from ranklight.datamodules.class_data import ClassData
from ranklight.datamodules.reading.annotations import Location, Sample, integer, matlab
from ranklight.kernels.checks import check_choice

Protocol = Literal["classification", "retrieval"]
_MODELS = 196
_PUBLISHED = {
    "retrieval": {"train": 8054, "test": 8131, "classes": _MODELS},
    "classification": {"train": 8144, "test": 8041, "classes": _MODELS},
}


class Cars196(ClassData):
    """Stanford Cars: 196 models, 16,185 images.

    Krause, Stark, Deng, Fei-Fei, 3dRR workshop at ICCV 2013; the site is gone, mirrors keep
    car_ims.tgz and cars_annos.mat. `root` has cars_annos.mat, where `annotations` has the fields
    relative_im_path ("car_ims/000001.jpg"), class (1..196) and test (0 or 1), and `class_names`;
    and the folder car_ims. torchvision's class reads the other layout of the same images, with
    cars_train/ and cars_test/. "classification" is the published split (8,144 / 8,041), of each
    class some images held out for validation; "retrieval" trains on classes 1..98 (8,054 images)
    and tests on the others (8,131), and whole classes are held out.

    Args:
        root: The folder with cars_annos.mat and car_ims/.
        protocol: Which split, and with it what is measured.
        **options: Of `ClassData`.
    """

    def __init__(
        self,
        root: str,
        protocol: Protocol = "classification",
        **options: Any,
    ) -> None:
        super().__init__(root, **options)
        check_choice(Protocol, protocol=protocol)
        self.protocol = protocol
        self.published = _PUBLISHED[protocol]
        self.validation = "class_disjoint" if protocol == "retrieval" else "image_disjoint"

    def read(self) -> tuple[list[Sample], Int[np.ndarray, "n"], tuple[str, ...]]:
        """The images, their classes, and the names of the classes."""
        file = self.root / "cars_annos.mat"
        annotations, names = matlab(file, "annotations", "class_names")
        fields = annotations.dtype.names or ()
        for field in ("relative_im_path", "class", "test"):
            if field not in fields:
                raise ValueError(f"{file}: needed the field {field!r}; it has {list(fields)}")
        images, classes = [], []
        for entry, car in enumerate(annotations, 1):
            location = Location(file, entry, "annotations entry")
            model = integer(location, car["class"].item(), "the class", 1, _MODELS)
            test = integer(location, car["test"].item(), "the field test", 0, 1)
            split = 2 * (model > _MODELS // 2 if self.protocol == "retrieval" else test)
            images.append(Sample(self.root / car["relative_im_path"].item(), split, location))
            classes.append(model - 1)
        return (
            images,
            np.array(classes, dtype=np.int64),
            tuple(str(np.asarray(name).item()) for name in names),
        )
