"""Your own images with numbers as labels: a table of files."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.transforms import v2

from ranklight.datamodules.image_file_data import ImageFileData
from ranklight.datamodules.reading.annotations import Location
from ranklight.datamodules.reading.image_files import ImageFiles, check_not_empty
from ranklight.datamodules.reading.neighbour_files import Neighbours, read_neighbours
from ranklight.datamodules.reading.transforms import Transform
from ranklight.datamodules.samplers import NearestLabels
from ranklight.datamodules.samplers.label_neighbours import label_neighbours
from ranklight.datamodules.splits import hold_out, split_hash
from ranklight.kernels.distributed import rank_and_world_size

_SPLITS = ("train", "val_query", "val_gallery", "test_query", "test_gallery")


class RegressionTable(ImageFileData):
    """Image retrieval under continuous labels, from a table of image files.

    `table` is a CSV file with a header, or a Parquet file. A row is an image: its
    path from `root`, numbers as labels, and the split it is in: `train`, `val_query`,
    `val_gallery`, `test_query`, `test_gallery`; or `val` or `test`, of which a fifth are drawn as
    queries. Without images for validation a tenth of the training split is held out for it.
    **Validation and test have two loaders, [queries, gallery].**

    Labels are float32, one column each, times `weights`. How far images are apart is the Euclidean
    distance of these, so columns of different units want weights: 1 over the difference that
    counts as much as another column's.

    Args:
        table: The file.
        labels: Names of the label columns.
        image: Name of the column of image paths.
        split: Name of the column of splits.
        root: The folder of the paths; by default that of the table.
        weights: One number a label column; by default 1.
        batch_size: Images in the global batch, that of all ranks together.
        anchors: How many of them are anchors; each image is one once an epoch.
        neighbours: How many nearest images each anchor brings; 0 makes the batch random.
        lists: A file of neighbour lists of the training rows, nearest by whatever distance, to take
            instead of the nearest labels; see `read_neighbours`.
        cache_dir: Where neighbour lists are kept; None finds them at each start.
        least_crop: Smallest part of the image's area that training sees; 1 shows the centre.
        mirror: Mirror training images half of the time; not where left and right are in the labels.
        **options: Of `ImageFileData`: what is seen of pictures, seeds and loaders.

    Attributes:
        split_hash: Names which row is in which split.
    """

    train: ImageFiles

    def __init__(
        self,
        table: str,
        labels: list[str],
        image: str = "image",
        split: str = "split",
        root: str | None = None,
        weights: list[float] | None = None,
        batch_size: int = 64,
        anchors: int = 1,
        neighbours: int = 5,
        lists: str | None = None,
        cache_dir: str | None = None,
        least_crop: float = 0.64,
        mirror: bool = False,
        **options: Any,
    ) -> None:
        self.least_crop = least_crop
        self.mirror = mirror
        super().__init__(**options)
        if weights is not None and len(weights) != len(labels):
            raise ValueError(f"{len(labels)} label columns need as many weights, got {weights}")
        self.table = Path(table)
        self.columns = (image, split, *labels)
        self.root = self.table.parent if root is None else Path(root)
        self.weights = weights or [1.0] * len(labels)
        self.batch_size = batch_size
        self.anchors = anchors
        self.neighbours = neighbours
        self.lists = lists
        self.cache_dir = cache_dir

    def setup(self, stage: str | None = None) -> None:
        """Read the table; for training find each image's nearest.

        Raises:
            FileNotFoundError: No such table, or an image that it names.
            ValueError: A column that the table does not have, labels that are not finite numbers,
                an unknown split or an empty one.
        """
        images, splits, *columns = read_columns(self.table, self.columns)
        labels = torch.from_numpy(_numbers(self.table, columns)) * torch.tensor(self.weights)
        files = [self.root / str(image) for image in images]
        _check_files(self.table, files)
        indices = _split_rows(self.table, [str(split) for split in splits], self.split_seed)
        self.train, *others = self.pictures(
            files,
            labels,
            indices,
            [Location(self.table, row + 1, "row") for row in range(len(files))],
        )
        self.val, self.test = others[:2], others[2:]
        self.split_hash = split_hash(*indices)
        if stage in (None, "fit"):
            self.train_sampler = NearestLabels(
                len(self.train),
                self._neighbours().index,
                self.batch_size,
                self.anchors,
                self.seed,
                *rank_and_world_size(),
            )

    def _neighbours(self) -> Neighbours:
        if self.lists is not None:
            return read_neighbours(self.lists, len(self.train), self.neighbours)
        return label_neighbours(self.train.labels, self.neighbours, cache_dir=self.cache_dir)

    def default_train_transforms(self) -> list[Transform]:
        """The centre, or a random part of at least `least_crop`, mirrored if asked for."""
        flip = [v2.RandomHorizontalFlip()] if self.mirror else []
        if self.least_crop >= 1:
            return [*self.default_eval_transforms(), *flip]
        return [v2.RandomResizedCrop(self.image_size, (self.least_crop, 1.0)), *flip]


def read_columns(table: Path, names: Sequence[str]) -> list[list[Any]]:
    """Some columns of a CSV or Parquet file.

    Raises:
        FileNotFoundError: No such file.
        ValueError: A column that is not there, another kind of file, or no rows; names the file.
    """
    if not table.is_file():
        raise FileNotFoundError(f"the table {table} does not exist (from {Path.cwd()})")
    if table.suffix == ".parquet":
        known, columns = _parquet(table, names)
    elif table.suffix == ".csv":
        with table.open(newline="") as file:
            rows = csv.DictReader(file)
            known = list(rows.fieldnames or [])
            content = list(rows)
        columns = [[row.get(name) for row in content] for name in names]
    else:
        raise ValueError(f"{table} must be a .csv or a .parquet file")
    missing = [name for name in names if name not in known]
    if missing:
        raise ValueError(f"{table} has no column {', '.join(missing)}; it has {', '.join(known)}")
    if not columns[0]:
        raise ValueError(f"{table} has no rows")
    return columns


def _parquet(table: Path, names: Sequence[str]) -> tuple[list[str], list[list[Any]]]:
    from pyarrow import parquet

    known: list[str] = parquet.read_schema(table).names
    if not set(names) <= set(known):
        return known, [[]] * len(names)
    content = parquet.read_table(table, columns=list(names))
    return known, [content.column(name).to_pylist() for name in names]


def _check_files(table: Path, files: list[Path]) -> None:
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of {len(files)} images of {table} do not exist, first {missing[0]}"
        )
    check_not_empty(files)


def _numbers(table: Path, columns: list[list[Any]]) -> NDArray[np.float32]:
    labels = np.empty((len(columns[0]), len(columns)), np.float32)
    for number, column in enumerate(columns):
        for row, value in enumerate(column):
            try:
                labels[row, number] = float(value)
            except (TypeError, ValueError) as error:
                raise ValueError(f"{table}, row {row + 1}: label {value!r} is no number") from error
    broken = ~np.isfinite(labels).all(1)
    if broken.any():
        row = int(broken.argmax())
        raise ValueError(f"{table}, row {row + 1}: labels {labels[row].tolist()} are not finite")
    return labels


def _split_rows(table: Path, splits: list[str], seed: int) -> list[NDArray[np.int64]]:
    """Rows of training, of queries and gallery of validation, and of those of test."""
    # As Python strings, because NumPy's have a fixed width that some name below may not fit in.
    named = np.array(splits, dtype=object)
    unknown = ~np.isin(splits, (*_SPLITS, "val", "test"))
    if unknown.any():
        row = int(unknown.argmax())
        raise ValueError(
            f"{table}, row {row + 1}: split {splits[row]!r} is none of {', '.join(_SPLITS)}, val "
            "and test"
        )
    if not any(split.startswith("val") for split in splits):
        train = np.flatnonzero(named == "train")
        named[train[hold_out(train * 0, 0.1, "image_disjoint", seed)[1]]] = "val"
    for stage in ("val", "test"):
        rows = np.flatnonzero(named == stage)
        if len(rows):
            gallery, queries = hold_out(rows * 0, 0.2, "image_disjoint", seed + 1)
            named[rows[gallery]], named[rows[queries]] = f"{stage}_gallery", f"{stage}_query"
    indices = [np.flatnonzero(named == split) for split in _SPLITS]
    for split, rows in zip(_SPLITS, indices, strict=True):
        if not len(rows):
            raise ValueError(f"{table} has no image in the split {split}")
    return indices
