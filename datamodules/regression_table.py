"""Your own images with numbers as labels: a table of files."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.transforms import v2

from ranklight.datamodules.loaders import (
    hold_out,
    split_hash,
)
from ranklight.datamodules.reading.image_files import (
    ImageFiles,
    Transform,
    evaluation_transform,
    refuse_empty,
)
from ranklight.datamodules.reading.neighbour_files import Neighbours, read_neighbours
from ranklight.datamodules.samplers import NearestLabels
from ranklight.datamodules.samplers.label_neighbours import label_neighbours
from ranklight.datamodules.split_data import SplitData
from ranklight.kernels.distributed import rank_and_world_size

_SPLITS = ("train", "val_query", "val_gallery", "test_query", "test_gallery")


class RegressionTable(SplitData):
    """Image retrieval under continuous labels, from a table of image files.

    `table` is a CSV file with a header, or a Parquet file (needs pyarrow). A row is an image: its
    path from `root`, numbers as labels, and the split it is in: `train`, `val_query`,
    `val_gallery`, `test_query`, `test_gallery`; or `val` or `test`, of which a fifth are drawn as
    queries. Without images for validation a tenth of the training part is held out for it.
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
        image_size: Height and width that the model sees, in pixels.
        resize: The shorter side before the centre of `image_size` is cut out, in evaluation.
        least_crop: Smallest part of the image's area that training sees; 1 shows the centre.
        mirror: Mirror training images half of the time; not where left and right are in the labels.
        seed: Of what is drawn of the split.
        train_seed: Of the batches and the augmentation; None is 0. Runs that differ in it alone are
            validated and tested on the same images.
        eval_batch_size: Images in a batch of validation and test.
        num_workers: Processes that read images.
        pin_memory: Put batches in page-locked memory, for faster copies to a GPU.

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
        image_size: int = 224,
        resize: int = 256,
        least_crop: float = 0.64,
        mirror: bool = False,
        seed: int = 0,
        train_seed: int | None = None,
        eval_batch_size: int = 128,
        num_workers: int = 4,
        pin_memory: bool = False,
    ) -> None:
        super().__init__()
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
        self.image_size = image_size
        self.resize = resize
        self.least_crop = least_crop
        self.mirror = mirror
        self.seed = seed
        self.train_seed = train_seed or 0
        self.eval_batch_size = eval_batch_size
        self.num_workers = num_workers
        self.pin_memory = pin_memory

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
        missing = [file for file in files if not file.is_file()]
        if missing:
            raise FileNotFoundError(
                f"{len(missing)} of {len(files)} images of {self.table} do not exist, first "
                f"{missing[0]}"
            )
        refuse_empty(files)
        members = _members(self.table, [str(split) for split in splits], self.seed)
        plain = evaluation_transform(self.image_size, self.resize)
        self.train = ImageFiles(files, labels, members[0], self._augmented(), self.train_seed)
        others = [ImageFiles(files, labels, each, plain, self.seed) for each in members[1:]]
        self.val, self.test = others[:2], others[2:]
        self.split_hash = split_hash(*members)
        if stage in (None, "fit"):
            self.train_sampler = NearestLabels(
                len(self.train),
                self._neighbours().index,
                self.batch_size,
                self.anchors,
                self.train_seed,
                *rank_and_world_size(),
            )

    def _neighbours(self) -> Neighbours:
        if self.lists is not None:
            return read_neighbours(self.lists, len(self.train), self.neighbours)
        return label_neighbours(self.train.labels, self.neighbours, cache_dir=self.cache_dir)

    def _augmented(self) -> Transform:
        if self.least_crop >= 1 and not self.mirror:
            return evaluation_transform(self.image_size, self.resize)
        crop = v2.RandomResizedCrop(self.image_size, (self.least_crop, 1.0), antialias=True)
        flip = [v2.RandomHorizontalFlip()] if self.mirror else []
        same_size = evaluation_transform(self.image_size, self.image_size)
        composed: Transform = v2.Compose([crop, *flip, same_size])
        return composed


def read_columns(table: Path, names: Sequence[str]) -> list[list[Any]]:
    """Some columns of a CSV or Parquet file.

    Raises:
        FileNotFoundError: No such file.
        ModuleNotFoundError: A Parquet file without pyarrow.
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
    try:
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{table} needs pyarrow, which is not installed: pip install pyarrow, or save as CSV"
        ) from error
    known: list[str] = parquet.read_schema(table).names
    if not set(names) <= set(known):
        return known, [[]] * len(names)
    content = parquet.read_table(table, columns=list(names))
    return known, [content.column(name).to_pylist() for name in names]


def _numbers(table: Path, columns: list[list[Any]]) -> NDArray[np.float32]:
    labels = np.empty((len(columns[0]), len(columns)), np.float32)
    for place, column in enumerate(columns):
        for row, value in enumerate(column):
            try:
                labels[row, place] = float(value)
            except (TypeError, ValueError) as error:
                raise ValueError(f"{table}, row {row + 1}: label {value!r} is no number") from error
    broken = ~np.isfinite(labels).all(1)
    if broken.any():
        row = int(broken.argmax())
        raise ValueError(f"{table}, row {row + 1}: labels {labels[row].tolist()} are not finite")
    return labels


def _members(table: Path, splits: list[str], seed: int) -> list[NDArray[np.int64]]:
    """Rows of training, of queries and gallery of validation, and of those of test."""
    named = np.array(splits)
    unknown = ~np.isin(named, (*_SPLITS, "val", "test"))
    if unknown.any():
        row = int(unknown.argmax())
        raise ValueError(
            f"{table}, row {row + 1}: split {splits[row]!r} is none of {', '.join(_SPLITS)}, val "
            "and test"
        )
    if not np.char.startswith(named, "val").any():
        train = np.flatnonzero(named == "train")
        named[train[hold_out(train * 0, 0.1, "image_disjoint", seed)[1]]] = "val"
    for stage in ("val", "test"):
        some = np.flatnonzero(named == stage)
        if len(some):
            gallery, queries = hold_out(some * 0, 0.2, "image_disjoint", seed + 1)
            wide = named.astype("U12")
            wide[some[gallery]], wide[some[queries]] = f"{stage}_gallery", f"{stage}_query"
            named = wide
    members = [np.flatnonzero(named == split) for split in _SPLITS]
    for split, rows in zip(_SPLITS, members, strict=True):
        if not len(rows):
            raise ValueError(f"{table} has no image in the split {split}")
    return members
