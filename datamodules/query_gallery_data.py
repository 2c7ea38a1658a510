"""What published data sets that are tested by queries and a gallery share."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from ranklight.datamodules.batches import Batches, PxK
from ranklight.datamodules.labels.one_class import one_class
from ranklight.datamodules.reading.annotations import Location, check_counts, check_disjoint
from ranklight.datamodules.splits import Fold, fold_or_fraction
from ranklight.datamodules.table_data import LabelledFiles, TableData
from ranklight.datamodules.table_splits import ROLES, HoldOut, Places

Part = Literal["train", "test", "query", "gallery", "distractor"]

_TRAIN, _TEST = 0, 2


class Shown(NamedTuple):
    """An image of a data set, as its annotations have it.

    Args:
        file: The image file.
        class_name: What it shows.
        part: Where it belongs; all but `train` is for testing, and a distractor in the gallery.
        location: Where it is written.
        group: The name of its camera; nothing without one.
    """

    file: Path
    class_name: str
    part: Part
    location: Location
    group: str = ""


class QueryGalleryData(TableData):
    """Image files of one class each, tested by queries in a gallery of classes that are new.

    A data set says in `annotated` what its annotations hold; the rest is here. **Test has two
    loaders, [queries, gallery].** Whole classes of training are held out for validation, where
    every image is a query among the others.

    Args:
        root: The folder of the data set.
        classes_per_batch: P, for batches of P classes with K images each.
        samples_per_class: K; a class with fewer images repeats some.
        batches: Instead of these: batches of another kind, such as `HardClassBatches`,
            `SuperClassBatches`, `WeightedPxK` or `ViewBatches`.
        validation_fraction: How much of the training classes is held out.
        fold: [k, n]: of n folds of all that is not for test the one numbered k, from 0, is for
            validation, in place of a fraction.
        check_counts: Refuse another number of images or classes than was published.
        **options: Of `ImageFileData`: what is seen of pictures, seeds and loaders.

    Attributes:
        class_names: The name of each class index.
        split_hash: Names which image is in which split.
    """

    published: Mapping[str, int] = {}

    def __init__(
        self,
        root: str,
        classes_per_batch: int = 16,
        samples_per_class: int = 4,
        batches: Batches | None = None,
        validation_fraction: float = 0.1,
        fold: Fold | None = None,
        check_counts: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.root = Path(root)
        self.batches = batches or PxK(classes_per_batch, samples_per_class)
        self.held_out = HoldOut("class", "class", 0.5, fold_or_fraction(fold, validation_fraction))
        self.check_counts = check_counts

    def annotated(self) -> LabelledFiles:
        """All images; see `labelled_files`."""
        raise NotImplementedError

    def read(self) -> LabelledFiles:
        """All images, once they are as many as were published and no class is in both splits.

        Raises:
            ValueError: Other counts, or a class of training that is tested.
        """
        found = self.annotated()
        if self.check_counts:
            check_counts(type(self).__name__, _counts(found), self.published)
        assert found.labels.classes is not None
        assert found.places.split is not None
        where = found.locations or found.files
        check_disjoint(found.labels.classes, found.places.split, where)
        return found


def labelled_files(
    root: Path,
    images: Sequence[Shown],
    boxes: Float[np.ndarray, "rows 4"] | None = None,
    levels: Mapping[str, Int[np.ndarray, "rows"]] | None = None,
    notes: tuple[object, ...] = (),
) -> LabelledFiles:
    """The images of a data set as rows.

    Args:
        root: The folder of the data set, for messages.
        images: All of them.
        boxes: The part of each that is seen; None for whole pictures.
        levels: Further classes by name.
        notes: What else the summary says.

    Raises:
        ValueError: There are none.
    """
    if not images:
        raise ValueError(f"the annotations in {root} list no images")
    names, codes = np.unique(
        np.array([image.class_name for image in images], dtype=object), return_inverse=True
    )
    role = {name: number for number, name in enumerate(ROLES)}
    groups = sorted({image.group for image in images} - {""})
    places = Places(
        np.array([_TRAIN if image.part == "train" else _TEST for image in images]),
        np.array([role.get(image.part, -1) for image in images]),
        np.array([groups.index(image.group) if image.group else -1 for image in images]),
        tuple(groups),
    )
    return LabelledFiles(
        str(root),
        [str(image.file) for image in images],
        one_class(names.tolist(), codes)._replace(levels=levels or {}),
        places,
        [image.location for image in images],
        boxes,
        notes,
    )


def _counts(found: LabelledFiles) -> dict[str, int]:
    split, role = found.places.split, found.places.role
    assert split is not None
    assert found.labels.classes is not None
    query, gallery, distractor = (int((role == number).sum()) for number in range(3))
    return {
        "train": int((split == _TRAIN).sum()),
        "test": int((split == _TEST).sum()),
        "query": query,
        "gallery": gallery + distractor,
        "distractor": distractor,
        "classes": len(np.unique(found.labels.classes[role != ROLES.index("distractor")])),
    }
