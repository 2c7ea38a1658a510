"""Google Landmarks v2: sights of the whole world, and which photographs show the same."""

from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from pytorch_lightning.utilities import rank_zero_info

from ranklight.datamodules.batches import Batches
from ranklight.datamodules.image_file_data import ImageFileData
from ranklight.datamodules.reading.annotations import Location, check_counts, folder_within
from ranklight.datamodules.reading.files_there import check_files_there
from ranklight.datamodules.reading.tables import Table, read_table
from ranklight.datamodules.relevant_pairs import RelevantPairs, listed_pairs
from ranklight.datamodules.splits import Fold, fold_or_fraction, hold_out, split_hash
from ranklight.datamodules.training_batches import TrainingBatches

_PUBLISHED = {"index": 761757, "public": 379, "private": 750}
_TRAIN = {
    True: {"train": 1580470, "classes": 81313},
    False: {"train": 4132914, "classes": 203094},
}
_USAGES = ("Public", "Private", "Ignored")


class Listed(NamedTuple):
    """Images of a table.

    Args:
        ids: Of each.
        locations: Where each is written.
        known: Of a training image its landmark; of a query the ids of its answers, between blanks.
    """

    ids: list[str]
    locations: list[Location]
    known: list[str]


class GLDv2(ImageFileData):
    """Google Landmarks v2, retrieval: 750 queries in an index of 761,757 images.

    Weyand, Araujo, Cao, Sim, CVPR 2020, arXiv 2004.01804;
    https://github.com/cvdfoundation/google-landmark, version 2.1. `root` has train/, index/ and
    test/, where the image 0123456789abcdef is 0/1/2/0123456789abcdef.jpg; and, in `root` itself or
    in metadata/, index.csv ("id"), retrieval_solution_v2.1.csv ("id,images,Usage") and
    train_clean.csv ("landmark_id,images", 1,580,470 images of 81,313 landmarks) or train.csv
    ("id,url,landmark_id", 4,132,914 of 203,094).

    What answers a query is listed: `relevant_pairs` has one entry, "". **Test has two loaders,
    [queries, gallery]**: the 750 queries of usage Private, and the index. The 379 of usage Public
    are for validation, likewise, which embeds the whole index at every validation; or whole
    landmarks of training are held out, and every image is a query among the others. Ignored queries
    are left out. Landmarks are known of training images only: the label of any other is a number of
    its own.

    Args:
        root: The folder with train/, index/ and test/.
        clean: Train on train_clean.csv, which leaves out what shows no landmark.
        classes_per_batch: P, for batches of P landmarks with K images each.
        samples_per_class: K; a landmark with fewer images repeats some.
        batch_size: Instead of P and K: images in a shuffled batch.
        batches: Instead of numbers: batches of another kind, such as `HardClassBatches`,
            `SuperClassBatches`, `WeightedPxK` or `ViewBatches`.
        official_validation: Validate on the public queries; else on held-out landmarks.
        validation_fraction: How much of the landmarks is held out.
        fold: [k, n]: of n folds of all landmarks the one numbered k, from 0, is for
            validation, in place of either.
        check_counts: Refuse another number of images or landmarks than was published.
        **options: Of `ImageFileData`: what is seen of pictures, seeds and loaders.

    Attributes:
        class_names: The number of each landmark of training.
        split_hash: Names which image is in which split.

    Raises:
        ValueError: Not exactly one of P and K together, batch_size, or batches.
    """

    def __init__(
        self,
        root: str,
        clean: bool = True,
        classes_per_batch: int | None = None,
        samples_per_class: int | None = None,
        batch_size: int | None = None,
        batches: Batches | None = None,
        official_validation: bool = True,
        validation_fraction: float = 0.01,
        fold: Fold | None = None,
        check_counts: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.root = Path(root)
        self.clean = clean
        self.batches = TrainingBatches(classes_per_batch, samples_per_class, batch_size, batches)
        self.official_validation = official_validation
        self.held_out = fold_or_fraction(fold, validation_fraction)
        self.check_counts = check_counts

    def setup(self, stage: str | None = None) -> None:
        """Read the tables, look for the images, and split them.

        Raises:
            FileNotFoundError: A table or an image is missing.
            ValueError: Tables that cannot be, other counts than the published ones, an empty image
                file, or fewer images or landmarks than a batch needs.
        """
        tables = folder_within(self.root, "metadata")
        index = _index(tables / "index.csv")
        parts = [self._train(tables), index, *_queries(tables / "retrieval_solution_v2.1.csv")]
        names, landmarks = np.unique(parts[0].known, return_inverse=True)
        self.class_names = names.tolist()
        if self.check_counts:
            self._check_counts(parts)
        files = [
            f"{self.root}/{folder}/{'/'.join(image[:3])}/{image}.jpg"
            for folder, part in zip(("train", "index", "test", "test"), parts, strict=True)
            for image in part.ids
        ]
        locations = [location for part in parts for location in part.locations]
        ends = np.cumsum([len(part.ids) for part in parts])
        rows = np.split(np.arange(len(files)), ends[:-1])
        self._pairs = {"test": _pairs(parts[3], rows[3], index, rows[1])}
        if self.official_validation:
            self._pairs["val"] = _pairs(parts[2], rows[2], index, rows[1])
        check_files_there(str(self.root), files, locations)
        self._set_splits(files, locations, landmarks, rows)

    def relevant_pairs(self, stage: Literal["val", "test"]) -> dict[str, RelevantPairs]:
        """What answers each query, under ""; nothing of validation on held-out landmarks."""
        return {"": self._pairs[stage]} if stage in self._pairs else {}

    def _set_splits(
        self,
        files: list[str],
        locations: list[Location],
        landmarks: Int[np.ndarray, "n"],
        rows: list[NDArray[np.int64]],
    ) -> None:
        train, index, public, private = rows
        val = [public, index]
        if not self.official_validation:
            train, held_out = hold_out(landmarks, self.held_out, "class_disjoint", self.split_seed)
            val = [held_out]
        labels = len(self.class_names) + torch.arange(len(files))
        labels[: len(landmarks)] = torch.from_numpy(landmarks)
        self.train, *others = self.pictures(files, labels, [train, *val, private, index], locations)
        self.val = others[:2] if self.official_validation else others[0]
        self.test = others[-2:]
        self.split_hash = split_hash(train, np.concatenate(val), private, index)
        self.train_sampler = self.batches.sampler(landmarks[train], self.seed, self.class_names)
        shown = " queries in ".join(str(len(side)) for side in val)
        rank_zero_info(
            f"GLDv2: train {len(train)} images, validation {shown} images, "
            f"test {len(private)} queries in {len(index)} images"
        )

    def _train(self, tables: Path) -> Listed:
        """The training images with their landmarks: a landmark a row, or an image a row."""
        table = read_table(tables / ("train_clean.csv" if self.clean else "train.csv"))
        landmarks = table.texts("landmark_id").to_pylist()
        images = table.texts("images" if self.clean else "id").to_pylist()
        listed = [(image, row) for row, ids in enumerate(images) for image in ids.split()]
        return _checked(
            Listed(
                [image for image, _ in listed],
                [table[row] for _, row in listed],
                [landmarks[row] for _, row in listed],
            )
        )

    def _check_counts(self, parts: list[Listed]) -> None:
        names = ("train", "index", "public", "private")
        counts = {name: len(part.ids) for name, part in zip(names, parts, strict=True)}
        counts["classes"] = len(self.class_names)
        check_counts("GLDv2", counts, _PUBLISHED | _TRAIN[self.clean])


def _index(file: Path) -> Listed:
    table = read_table(file)
    return _checked(Listed(table.texts("id").to_pylist(), table[:], []))


def _queries(file: Path) -> tuple[Listed, Listed]:
    """The public and the private queries."""
    table = read_table(file)
    ids, answers, usages = (table.texts(name).to_pylist() for name in ("id", "images", "Usage"))
    for location, usage in zip(table, usages, strict=True):
        if usage not in _USAGES:
            raise ValueError(
                f"{location}: Usage is {usage!r}, which is none of {', '.join(_USAGES)}"
            )
    public, private = (
        [row for row, usage in enumerate(usages) if usage == wanted] for wanted in _USAGES[:2]
    )
    return _some(table, ids, answers, public), _some(table, ids, answers, private)


def _some(table: Table, ids: list[str], known: list[str], rows: list[int]) -> Listed:
    return _checked(
        Listed(
            [ids[row] for row in rows], [table[row] for row in rows], [known[row] for row in rows]
        )
    )


def _checked(images: Listed) -> Listed:
    """The images, each of which is there once, under an id that a path can be made of."""
    seen = set()
    for image, location in zip(images.ids, images.locations, strict=True):
        if len(image) < 3 or "/" in image:
            raise ValueError(
                f"{location}: needed the id of an image, as 0123456789abcdef; got {image!r}"
            )
        if image in seen:
            raise ValueError(f"{location}: the image {image} is listed twice")
        seen.add(image)
    return images


def _pairs(
    queries: Listed, rows: NDArray[np.int64], index: Listed, gallery: NDArray[np.int64]
) -> RelevantPairs:
    row_of = dict(zip(index.ids, gallery.tolist(), strict=True))
    answers = []
    for location, known in zip(queries.locations, queries.known, strict=True):
        images = known.split()
        if missing := [image for image in images if image not in row_of]:
            raise ValueError(f"{location}: the answer {missing[0]} is not in index.csv")
        answers.append([row_of[image] for image in images])
    relevant = listed_pairs(rows.tolist(), answers)
    return RelevantPairs(relevant, relevant[:0])
