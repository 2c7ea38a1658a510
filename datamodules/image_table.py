"""Your own images: a table that names them, with labels of any kind."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from ranklight.datamodules.batches import Batches
from ranklight.datamodules.graded_triplets import graded_triplets
from ranklight.datamodules.labels.kind import Labels, Rows
from ranklight.datamodules.labels.one_class import OneClass
from ranklight.datamodules.reading.boxes import SIDES
from ranklight.datamodules.reading.tables import Table, read_table
from ranklight.datamodules.reading.transforms import Transform
from ranklight.datamodules.splits import Fold, fold_or_fraction
from ranklight.datamodules.table_data import LabelledFiles, TableData
from ranklight.datamodules.table_splits import ROLES, HeldOutBy, HoldOut, read_places

_SPLIT, _ROLE, _GROUP = "split", "role", "group"
_DISTRACTOR, _JUNK = (ROLES.index(role) for role in ("distractor", "junk"))


class ImageTable(TableData):
    """Images, and whatever their labels are, from a table: CSV, Parquet or JSON lines.

    A row is an image: its path from `root`, its label, and where there are

    * `split`: `train`, `val` or `test`. Without the column parts are held out; with it and without
      any `val`, that is held out of training.
    * `role`, in val and test: `query`, `gallery`, `distractor`, which is in the gallery and the
      answer to no query, or `junk`, which is neither right nor wrong and left out. Then
      **validation and test have two loaders, [queries, gallery]**; else everything is compared with
      everything else. `val_query`, `val_gallery`, `test_query` and `test_gallery` as splits say the
      same. An image that is a query and in the gallery, in two rows, is known to be one.
    * `group`: camera, session, person, ...: to hold out by, and as `groups` of each split.
    * `x1`, `y1`, `x2`, `y2`: a box, in pixels of the upright picture, of which alone is seen.

    The label's kind is a choice of its own: `OneClass`, `LabelSet`, `Numbers`, `GradedRelevance` or
    `PairRelevance`; it says how batches are drawn and what is held out where nothing else is said.

    Args:
        table: The file; see `read_table` for its forms.
        labels: The kind of label, with the names of its columns; by default `OneClass()`.
        root: The folder of the paths; by default that of the table.
        image: Column of the image paths.
        split: Column of the splits. This one and the next may be missing under the names that they
            have by default, and are not read if null.
        role: Column of the roles.
        group: Column of the groups.
        box: The four columns of boxes.
        batches: How training batches are drawn; by default as suits the labels.
        hold_out: What is held out: whole classes, which measures what retrieval of unseen classes
            does, images, or whole groups; by default classes of `OneClass`, else images.
        test_fraction: How much is for test, where there is no column of splits.
        validation_fraction: How much of the rest is for validation, where none is marked.
        fold: [k, n]: of n folds of all that is not for test the one numbered k, from 0, is for
            validation, in place of either.
        query_fraction: How much of validation and of test is drawn as queries where no role says
            it, the rest being the gallery; by default nothing is.
        **options: Of `ImageFileData`: what is seen of pictures, seeds and loaders.

    Attributes:
        class_names: One a class index, or a column of a multi-hot label; none for numbers.
        group_names: What the numbers in the splits' `groups` stand for.
        split_hash: Names which row is in which split.
    """

    def __init__(
        self,
        table: str,
        labels: Labels | None = None,
        root: str | None = None,
        image: str = "image",
        split: str | None = _SPLIT,
        role: str | None = _ROLE,
        group: str | None = _GROUP,
        box: Sequence[str] | None = SIDES,
        batches: Batches | None = None,
        hold_out: HeldOutBy | None = None,
        test_fraction: float = 0.2,
        validation_fraction: float = 0.2,
        fold: Fold | None = None,
        query_fraction: float | None = None,
        **options: Any,
    ) -> None:
        self.kind = labels or OneClass()
        super().__init__(**options)
        if box is not None and len(set(box)) != 4:
            raise ValueError(f"a box has four columns, such as {', '.join(SIDES)}; got {box}")
        self.table = Path(table)
        self.root = self.table.parent if root is None else Path(root)
        self.image = image
        self.split, self.role, self.group, self.box = split, role, group, box
        self.batches = batches or self.kind.batches()
        by = hold_out or self.kind.held_out_by
        self.held_out = HoldOut(
            by, by, test_fraction, fold_or_fraction(fold, validation_fraction), query_fraction
        )

    def default_train_transforms(self) -> list[Transform]:
        """As suits the labels."""
        return self.kind.train_transforms(self.image_size)

    def default_eval_transforms(self) -> list[Transform]:
        """As suits the labels."""
        return self.kind.eval_transforms(self.image_size, self.resize)

    def read(self) -> LabelledFiles:
        """All rows of the table."""
        columns = {_SPLIT: self.split, _ROLE: self.role, _GROUP: self.group}
        return read_rows(self.table, self.root, self.image, self.kind, columns, self.box)

    def triplets(self, stage: Literal["val", "test"]) -> Int[Tensor, "t 3"]:
        """Queries with a more and a less relevant image of the gallery, always the same.

        Raises:
            ValueError: Labels are not graded, or there are no queries apart from a gallery.
        """
        sides = self.val if stage == "val" else self.test
        if not isinstance(sides, list) or self.row_labels.of_pairs is None:
            raise ValueError(
                f"triplets of {stage} need graded relevance (GradedRelevance, PairRelevance) and "
                "queries apart from a gallery: give roles, or query_fraction, for example 0.2"
            )
        queries, gallery = (side.indices.numpy() for side in sides)
        return graded_triplets(self.row_labels.of_pairs, queries, gallery, self.split_seed)


def read_rows(
    file: Path,
    root: Path,
    image: str,
    kind: Labels,
    columns: dict[str, str | None],
    box: Sequence[str] | None = None,
) -> LabelledFiles:
    """The rows of a table of images.

    Args:
        file: The table.
        root: The folder of the paths.
        image: Column of the paths.
        kind: Of the labels.
        columns: Of splits, roles and groups, by their usual names; None is not read.
        box: The four columns of boxes; None is not read.

    Raises:
        FileNotFoundError: There is no such table.
        ValueError: A column is missing, or something that cannot be in a row; names the row.
    """
    table = read_table(file)
    table.check_has(image)
    there = {usual: name if table.has(name, usual) else None for usual, name in columns.items()}
    places = read_places(table, *(there.get(usual) for usual in (_SPLIT, _ROLE, _GROUP)))
    files = _files(table, image, root)
    boxes = _boxes(table, box)
    labels = kind.read(Rows(table, image, *(places.role == role for role in (_DISTRACTOR, _JUNK))))
    said = f"splits of the column {there[_SPLIT]}" if there[_SPLIT] else "splits held out"
    return LabelledFiles(str(file), files, labels, places, table, boxes, (said,))


def _files(table: Table, name: str, root: Path) -> list[str]:
    """The path of each row, one string for all rows that have it."""
    encoded = table.texts(name).dictionary_encode()
    written = encoded.dictionary.to_pylist()
    codes = encoded.indices.to_numpy()
    if "" in written:
        row = int((codes == written.index("")).argmax())
        raise ValueError(f"{table[row]}: {name} is empty")
    if remote := next((path for path in written if "://" in path), None):
        row = int((codes == written.index(remote)).argmax())
        raise ValueError(
            f"{table[row]}: {name} is {remote}; images are read from files: fetch them"
        )
    # A spreadsheet on Windows writes these.
    paths = np.array([str(root / path.replace("\\", "/")) for path in written], dtype=object)
    files: list[str] = paths[codes].tolist()
    return files


def _boxes(table: Table, names: Sequence[str] | None) -> Float[np.ndarray, "rows 4"] | None:
    if names is None or not any([*map(table.has, names, SIDES)]):
        return None
    table.check_has(*names)
    return table.numbers(names)
