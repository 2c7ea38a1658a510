"""People in the poses of MPII, as the log-ratio paper crops and compares them."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset
from torchvision.transforms import v2

from ranklight.datamodules.batch import Batch
from ranklight.datamodules.image_file_data import ImageFileData
from ranklight.datamodules.loaders import Key, epochs_and_positions
from ranklight.datamodules.randomness import random_bits
from ranklight.datamodules.reading.image_files import ImageFiles, check_not_empty
from ranklight.datamodules.reading.neighbour_files import check_neighbours, read_lists
from ranklight.datamodules.reading.transforms import Transform
from ranklight.datamodules.samplers import NearestLabels
from ranklight.datamodules.splits import check_fractions, hold_out, split_hash
from ranklight.kernels.checks import check_counts, check_positive
from ranklight.kernels.distributed import rank_and_world_size
from ranklight.pairs.relevance import ByTable

_STORED, _QUERIES = 288, 1919
_SUFFIXES = {".jpg", ".jpeg", ".png"}
_FLIP = 5


class MPIIPose(ImageFileData):
    """MPII human pose retrieval in the layout of the log-ratio paper's release.

    `root` holds the folders `0` (12,366 training crops) and `1` (9,919 test crops), 288×288 pixels,
    sorted by name; `list_nn.pkl` and `dist_nn.pkl`, dicts with the key `trn`: of each training
    image the others, nearest pose first, and their distances; and `dist_pose_val.mat`, all
    distances between test images, under its only key. The files are read without executing pickled
    code. The first 1,919 test images are the queries, the other 8,000 the gallery: **validation and
    test have two loaders, [queries, gallery]**. (Kim et al., CVPR 2019, arXiv 1904.09626; MPII:
    Andriluka et al., CVPR 2014.)

    The pose distance, a sum over joints, comes as these files and not from label vectors. So the
    label is the image's number, training images first, and `PoseDistances(root)` is the relevance
    for the objective and for `LabelRanking`.

    The released code validates on test. Here some training images are held out, a fifth of them
    queries. Training images are cropped as there, with 5 % of jitter in scale and 3 % in place.
    There a whole batch is mirrored or not, because a mirrored person has another pose; here a whole
    epoch is. The encoder normalises pixels as its weights were trained, where the release feeds BGR
    values of 0..255 to torchvision's.

    Args:
        root: The folder.
        batch_size: Images in the global batch, that of all ranks together.
        anchors: How many of them are anchors; each image is one once an epoch.
        neighbours: How many nearest images each anchor brings; 0 makes the batch random.
        validation_fraction: How much of the training split is for validation.
        queries: How many of the test images, the first ones, are queries.
        resize: The shorter side before the center of `image_size` is cut out, in evaluation; by
            default 288, as the crops are.
        **options: Of `ImageFileData`: what is seen of pictures, seeds and loaders.

    Attributes:
        split_hash: Names which image is in which split.
    """

    def __init__(
        self,
        root: str,
        batch_size: int = 150,
        anchors: int = 1,
        neighbours: int = 5,
        validation_fraction: float = 0.1,
        queries: int = _QUERIES,
        resize: int | None = None,
        **options: Any,
    ) -> None:
        if resize is None and options.get("eval_transforms") is None:
            resize = _STORED
        super().__init__(resize=resize, **options)
        self.root = Path(root)
        self.batch_size = batch_size
        self.anchors = anchors
        self.neighbours = neighbours
        check_fractions(validation_fraction=validation_fraction)
        check_counts(queries=queries)
        self.validation_fraction = validation_fraction
        self.queries = queries

    def default_train_transforms(self) -> list[Transform]:
        """Jitter in scale and place, then the center."""
        shift = 0.03 * min(self.image_size) / self.resize
        jitter = v2.RandomAffine(0, translate=(shift, shift), scale=(0.95, 1.05))
        return [jitter, *self.default_eval_transforms()]

    def setup(self, stage: str | None = None) -> None:
        """List the crops; for training read the neighbour lists.

        Raises:
            FileNotFoundError: Some of the layout is missing.
            ValueError: Lists for another number of images, or too few test images.
        """
        train, test = (_crops(self.root / name) for name in ("0", "1"))
        files = train + test
        check_not_empty(files)
        if len(test) <= self.queries:
            raise ValueError(f"{self.queries} queries leave no gallery: {len(test)} test images")
        splits = self._split(len(train), len(test))
        crops, *others = self.pictures(files, torch.arange(len(files)), splits)
        self.train = MirroredEpochs(crops, self.seed)
        self.val, self.test = others[:2], others[2:]
        self.split_hash = split_hash(*splits[:3], np.concatenate(splits[3:]))
        self.warn_of_copies()
        if stage in (None, "fit"):
            self.train_sampler = NearestLabels(
                len(splits[0]),
                _lists_among(splits[0], len(train), self.neighbours, self.root / "list_nn.pkl"),
                self.batch_size,
                self.anchors,
                self.seed,
                *rank_and_world_size(),
            )

    def _split(self, train: int, test: int) -> list[NDArray[np.int64]]:
        """Of training, of queries and gallery of validation, and of those of test."""
        rest, held_out = hold_out(
            np.zeros(train, np.int64), self.validation_fraction, "image_disjoint", self.split_seed
        )
        gallery, queries = hold_out(held_out * 0, 0.2, "image_disjoint", self.split_seed + 1)
        of_test = np.split(train + np.arange(test), [self.queries])
        return [rest, held_out[queries], held_out[gallery], *of_test]


class MirroredEpochs(Dataset[Batch]):
    """Image files that are all mirrored in half of the epochs, and in none of the others.

    Args:
        images: The files, each with its own augmentation.
        seed: Another seed is other epochs.
    """

    def __init__(self, images: ImageFiles, seed: int) -> None:
        self.images = images
        self.files = images.files
        self.labels = images.labels
        self.indices = images.indices
        self.seed = seed

    def __len__(self) -> int:
        return len(self.images)

    def seen_through(self, transform: Transform) -> ImageFiles:
        """The same images, never mirrored, seen through another transform."""
        return self.images.seen_through(transform)

    def __getitems__(self, keys: Sequence[Key]) -> Batch:
        """The images of (epoch, position)."""
        batch = self.images.__getitems__(keys)
        epoch = epochs_and_positions(keys)[0][0]
        mirrored = epoch is not None and int(random_bits(self.seed, _FLIP, epoch)[0]) & 1
        return batch._replace(images=batch.images.flip(3)) if mirrored else batch


class PoseDistances(nn.Module):
    """R_ij = 1 − d_ij / unit, with the pose distances of MPII's files; labels are image indices.

    Relevance by two tables (`ByTable`), of training and of test images; between the two there is no
    distance. A table is read when it is first asked for: 611 MB in memory for training, 394 MB for
    test.

    Args:
        root: The folder of `MPIIPose`.
        unit: Pose distance that counts as 1, above 0; nDCG depends on it.

    Raises:
        TypeError: The unit is no number.
        ValueError: The unit is not above 0; training and test images together.
    """

    def __init__(self, root: str, unit: float = 1.0) -> None:
        super().__init__()
        check_positive(unit=unit)
        self.root = root
        self.unit = unit

    def forward(
        self, labels: Int[Tensor, "n"], ref_labels: Int[Tensor, "m"]
    ) -> Float[Tensor, "n m"]:
        """Relevance of every reference to every anchor."""
        distances = _distances_of_train(self.root)
        first_of_test = len(distances.table)
        of_test = torch.cat([labels, ref_labels]) >= first_of_test
        if of_test.any() and not of_test.all():
            raise ValueError("training and test images have no pose distance between them")
        if of_test.any():
            distances = _distances_of_test(self.root)
            labels, ref_labels = labels - first_of_test, ref_labels - first_of_test
        relevance: Tensor = 1 - distances(labels, ref_labels) / self.unit
        return relevance


@cache
def _distances_of_train(root: str) -> ByTable:
    lists = read_lists(f"{root}/list_nn.pkl").astype(np.int64)
    distances = read_lists(f"{root}/dist_nn.pkl").astype(np.float32)
    if lists.shape != distances.shape or lists.shape[1] != len(lists) - 1:
        raise ValueError(
            f"list_nn.pkl and dist_nn.pkl must list all others of each image; got {lists.shape} "
            f"and {distances.shape}"
        )
    table = np.zeros((len(lists), len(lists)), np.float32)
    np.put_along_axis(table, lists, distances, 1)
    return ByTable(torch.from_numpy(table))


@cache
def _distances_of_test(root: str) -> ByTable:
    from scipy.io import loadmat

    path = Path(root) / "dist_pose_val.mat"
    arrays = [value for name, value in loadmat(path).items() if not name.startswith("__")]
    if len(arrays) != 1 or arrays[0].ndim != 2 or len(arrays[0]) != arrays[0].shape[1]:
        raise ValueError(f"{path} must hold one square array of distances")
    return ByTable(torch.from_numpy(np.ascontiguousarray(arrays[0], dtype=np.float32)))


def _lists_among(
    indices: NDArray[np.int64], images: int, k: int, path: Path
) -> Int[np.ndarray, "n k"]:
    """The first k of each one's list that are among the indices, by their position in these."""
    lists = read_lists(str(path)).astype(np.int64)
    check_neighbours(lists, images, str(path))
    position = np.full(images, -1)
    position[indices] = np.arange(len(indices))
    among = position[lists[indices]]
    first = np.argsort(among < 0, axis=1, kind="stable")[:, :k]
    nearest: NDArray[np.int64] = np.take_along_axis(among, first, 1)
    if nearest.shape[1] < k or (nearest < 0).any():
        raise ValueError(f"{path} does not list {k} neighbours of each image outside of validation")
    return nearest


def _crops(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FileNotFoundError(f"MPII's folder {folder} does not exist (from {Path.cwd()})")
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in _SUFFIXES)
    if not files:
        raise FileNotFoundError(f"no images in {folder}")
    return files
