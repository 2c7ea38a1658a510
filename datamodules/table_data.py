"""What a table of images and a folder that amounts to one have in common."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn

from ranklight.datamodules.batches import Batches
from ranklight.datamodules.image_file_data import ImageFileData
from ranklight.datamodules.labels.rows import RowLabels
from ranklight.datamodules.reading.annotations import SPLITS, Location
from ranklight.datamodules.reading.boxes import check_boxes, whole_pixels
from ranklight.datamodules.reading.files_there import check_files_there
from ranklight.datamodules.reading.found import summary
from ranklight.datamodules.reading.image_files import ImageFiles
from ranklight.datamodules.seen_classes import seen_classes, warn_of_classes
from ranklight.datamodules.splits import split_hash
from ranklight.datamodules.table_splits import HoldOut, Places, shared_rows, split_rows


class LabelledFiles(NamedTuple):
    """The rows of a table, whatever it was read from.

    Args:
        source: What was read, for messages.
        files: The image file of each row.
        labels: Its label.
        places: Its split, role and group.
        locations: Where each row stands; None where each file is itself.
        boxes: x1, y1, x2, y2 in pixels of the upright picture; None for whole pictures.
        notes: What else the summary says.
    """

    source: str
    files: Sequence[str]
    labels: RowLabels
    places: Places
    locations: Sequence[Location] | None = None
    boxes: Float[np.ndarray, "rows 4"] | None = None
    notes: tuple[object, ...] = ()


class TableData(ImageFileData):
    """Images with labels, splits, roles and groups; a subclass says in `read` where from.

    The constructor of a subclass sets `held_out`, and `batches`.

    Attributes:
        class_names: One a class index, or a column of a multi-hot label; none for numbers.
        group_names: What the numbers in the splits' `groups` stand for.
        split_hash: Names which row is in which split.
    """

    train: ImageFiles
    val: ImageFiles | list[ImageFiles]
    test: ImageFiles | list[ImageFiles]
    batches: Batches
    held_out: HoldOut
    row_labels: RowLabels

    def read(self) -> LabelledFiles:
        """All rows."""
        raise NotImplementedError

    def setup(self, stage: str | None = None) -> None:
        """Read the rows, look for the images, and split them; for training, draw the batches.

        Raises:
            FileNotFoundError: There is no such table or folder, or an image is missing.
            ValueError: What cannot be in a row, a split without images, or too few for a batch.
        """
        found = self.read()
        _check_files(found)
        labels, places = found.labels, found.places
        splits = split_rows(places, labels.classes, self.held_out, self.split_seed, found.source)
        self._set_splits(found, splits)
        self.row_labels, self.group_names = labels, places.group_names
        self.class_names = list(labels.class_names)
        seen = seen_classes(labels, [np.concatenate(split) for split in splits])
        rank_zero_info(summary(self, self._sizes(splits, seen), *found.notes))
        warn_of_classes(labels, splits, seen)
        self.warn_of_copies()
        if stage in (None, "fit"):
            self.train_sampler = self.batches.sampler(labels.of(splits[0][0]), self.seed)

    def _set_splits(self, found: LabelledFiles, splits: list[list[NDArray[np.int64]]]) -> None:
        """Set the data sets of the splits."""
        image = _same_image(found)
        _warn_of_repeats(found, image, splits)
        shown = [
            [sides[0], *(shared_rows(image, sides[0], side) for side in sides[1:])]
            for sides in splits
        ]
        for sides, own in zip(shown, splits, strict=True):
            _check_same_labels(found, sides, own)
        flat, own = ([rows for sides in of for rows in sides] for of in (shown, splits))
        boxes = None if found.boxes is None else whole_pixels(found.boxes)
        sets = self.pictures(found.files, found.labels.values, flat, found.locations, boxes)
        for each, rows in zip(sets, own, strict=True):
            each.groups = torch.from_numpy(found.places.group[rows])
            each.roles = torch.from_numpy(found.places.role[rows])
            each.levels = {
                name: torch.from_numpy(classes[rows])
                for name, classes in found.labels.levels.items()
            }
        self.train, *others = sets
        val, test = others[: len(splits[1])], others[len(splits[1]) :]
        self.val, self.test = (sides[0] if len(sides) == 1 else sides for sides in (val, test))
        self.split_hash = split_hash(*flat)

    def _sizes(
        self, splits: list[list[NDArray[np.int64]]], seen: NDArray[np.bool_]
    ) -> dict[str, str]:
        words = {}
        for name, sides, classes in zip(SPLITS, splits, seen, strict=True):
            images = " queries in ".join(str(len(side)) for side in sides) + " images"
            words[name] = f"{images} of {classes.sum()} classes" if seen.size else images
        return words


def _check_files(found: LabelledFiles) -> None:
    check_files_there(found.source, found.files, found.locations)
    if found.boxes is not None and found.locations is not None:
        check_boxes(found.files, found.boxes, found.locations)


def _same_image(found: LabelledFiles) -> Int[np.ndarray, "rows"]:
    """Equal numbers for rows that show the same: one file, and one box of it."""
    number = {file: code for code, file in enumerate(dict.fromkeys(found.files))}
    image = np.array([number[file] for file in found.files], np.int64)
    if found.boxes is None:
        return image
    shown = np.column_stack([image.astype(np.float64), found.boxes])
    same: NDArray[np.int64] = np.unique(shown, axis=0, return_inverse=True)[1].ravel()
    return same


def _warn_of_repeats(
    found: LabelledFiles, image: NDArray[np.int64], splits: list[list[NDArray[np.int64]]]
) -> None:
    """Warn of rows that show what another row of their split shows."""
    again = [
        rows[np.setdiff1d(np.arange(len(rows)), np.unique(image[rows], return_index=True)[1])]
        for sides in splits
        for rows in sides
    ]
    rows = np.sort(np.concatenate(again))
    if len(rows) and found.locations is not None:
        rank_zero_warn(
            f"{len(rows)} of {len(image)} rows of {found.source} show the same image as another "
            f"row of their split, first {found.files[rows[0]]} ({found.locations[rows[0]]})"
        )


def _check_same_labels(
    found: LabelledFiles, shown: list[NDArray[np.int64]], own: list[NDArray[np.int64]]
) -> None:
    """Refuse an image that is a query under one label and in the gallery under another."""
    for one, other in zip(shown, own, strict=True):
        both = np.flatnonzero(one != other)
        values = (found.labels.values[torch.from_numpy(rows[both])] for rows in (one, other))
        differ = torch.ne(*values).unsqueeze(-1).flatten(1).any(1).numpy()
        if differ.any():
            row = both[int(differ.argmax())]
            where = found.locations or found.files
            raise ValueError(
                f"{where[other[row]]}: {found.files[other[row]]} is in the gallery under another "
                f"label than as a query in {where[one[row]]}"
            )
