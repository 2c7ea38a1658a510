"""Your own images with numbers as labels: a table of files."""

from pathlib import Path
from typing import Any

from torchvision.transforms import v2

from ranklight.datamodules.batches import NearestBatches
from ranklight.datamodules.image_table import read_rows
from ranklight.datamodules.labels.numbers import Numbers
from ranklight.datamodules.reading.transforms import Transform
from ranklight.datamodules.table_data import LabelledFiles, TableData
from ranklight.datamodules.table_splits import HoldOut


class RegressionTable(TableData):
    """Image retrieval under continuous labels, from a table of image files.

    An `ImageTable` of `Numbers` in batches of `NearestBatches`, with queries apart: of images whose
    split is `val` or `test` a fifth are drawn as queries, and `val_query`, `val_gallery`,
    `test_query`, `test_gallery` are splits of their own. Without images for validation a tenth of
    the training split is held out for it. **Validation and test have two loaders, [queries,
    gallery].**

    Args:
        table: The file: CSV, Parquet or JSON lines.
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
        least_crop: Smallest part of the image's area that training sees; 1 shows the center.
        mirror: Mirror training images half of the time; not where left and right are in the labels.
        **options: Of `ImageFileData`: what is seen of pictures, seeds and loaders.

    Attributes:
        split_hash: Names which row is in which split.
    """

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
        if not 0 < least_crop <= 1:
            raise ValueError(f"least_crop must be above 0 and at most 1; got {least_crop}")
        self.least_crop = least_crop
        self.mirror = mirror
        super().__init__(**options)
        self.table = Path(table)
        self.root = self.table.parent if root is None else Path(root)
        self.kind = Numbers(labels, weights)
        self.image, self.split = image, split
        self.batches = NearestBatches(batch_size, anchors, neighbours, lists, cache_dir)
        self.held_out = HoldOut("image", "image", 0.2, 0.1, query_fraction=0.2)

    def default_train_transforms(self) -> list[Transform]:
        """The center, or a random part of at least `least_crop`, mirrored if asked for."""
        flip = [v2.RandomHorizontalFlip()] if self.mirror else []
        if self.least_crop >= 1:
            return [*self.default_eval_transforms(), *flip]
        return [v2.RandomResizedCrop(self.image_size, (self.least_crop, 1.0)), *flip]

    def read(self) -> LabelledFiles:
        """All rows of the table."""
        return read_rows(self.table, self.root, self.image, self.kind, {"split": self.split})
