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
from ranklight.datamodules.loaders import (
    Key,
    epochs_and_places,
    hold_out,
    split_hash,
)
from ranklight.datamodules.randomness import random_bits
from ranklight.datamodules.reading.image_files import ImageFiles, evaluation_transform, refuse_empty
from ranklight.datamodules.reading.neighbour_files import check_neighbours, read_lists
from ranklight.datamodules.samplers import NearestLabels
from ranklight.datamodules.split_data import SplitData
from ranklight.kernels.distributed import rank_and_world_size

_SIDE, _STORED, _QUERIES = 224, 288, 1919
_SUFFIXES = {".jpg", ".jpeg", ".png"}
_FLIP = 5


class MPIIPose(SplitData):
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

    The released code validates on test. Here a part of the training images is held out, a fifth of
    it queries. Training images are cropped as there, with 5 % of jitter in scale and 3 % in place.
    There a whole batch is mirrored or not, because a mirrored person has another pose; here a whole
    epoch is. Pixels are normalised as for torchvision's weights, where the release feeds BGR values
    of 0..255 to them.

    Args:
        root: The folder.
        batch_size: Images in the global batch, that of all ranks together.
        anchors: How many of them are anchors; each image is one once an epoch.
        neighbours: How many nearest images each anchor brings; 0 makes the batch random.
        validation_fraction: How much of the training part is for validation.
        queries: How many of the test images, the first ones, are queries.
        seed: Of the split.
        train_seed: Of the batches and the augmentation; None is 0. Runs that differ in it alone are
            validated and tested on the same images.
        eval_batch_size: Images in a batch of validation and test.
        num_workers: Processes that read images.
        pin_memory: Put batches in page-locked memory, for faster copies to a GPU.

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
        seed: int = 0,
        train_seed: int | None = None,
        eval_batch_size: int = 128,
        num_workers: int = 4,
        pin_memory: bool = False,
    ) -> None:
        super().__init__()
        self.root = Path(root)
        self.batch_size = batch_size
        self.anchors = anchors
        self.neighbours = neighbours
        self.validation_fraction = validation_fraction
        self.queries = queries
        self.seed = seed
        self.train_seed = train_seed or 0
        self.eval_batch_size = eval_batch_size
        self.num_workers = num_workers
        self.pin_memory = pin_memory

    def setup(self, stage: str | None = None) -> None:
        """List the crops; for training read the neighbour lists.

        Raises:
            FileNotFoundError: A part of the layout is missing.
            ValueError: Lists for another number of images, or too few test images.
        """
        train, test = (_crops(self.root / name) for name in ("0", "1"))
        files = train + test
        refuse_empty(files)
        if len(test) <= self.queries:
            raise ValueError(f"{self.queries} queries leave no gallery: {len(test)} test images")
        of_train = np.zeros(len(train), dtype=np.int64)
        kept, held = hold_out(of_train, self.validation_fraction, "image_disjoint", self.seed)
        gallery, queries = hold_out(held * 0, 0.2, "image_disjoint", self.seed + 1)
        first = len(train) + np.arange(len(test))
        labels = torch.arange(len(files))
        plain = evaluation_transform(_SIDE, _STORED)

        def split(members: NDArray[np.int64]) -> ImageFiles:
            return ImageFiles(files, labels, members, plain, self.seed)

        self.val = split(held[queries]), split(held[gallery])
        self.test = split(first[: self.queries]), split(first[self.queries :])
        crops = ImageFiles(files, labels, kept, _training_crop(), self.train_seed)
        self.train = MirroredEpochs(crops, self.train_seed)
        self.split_hash = split_hash(kept, held[queries], held[gallery], first)
        if stage in (None, "fit"):
            self.train_sampler = NearestLabels(
                len(kept),
                _lists_among(kept, len(train), self.neighbours, self.root / "list_nn.pkl"),
                self.batch_size,
                self.anchors,
                self.train_seed,
                *rank_and_world_size(),
            )


class MirroredEpochs(Dataset[Batch]):
    """Image files that are all mirrored in half of the epochs, and in none of the others.

    Args:
        images: The files, each with its own augmentation.
        seed: Another seed is other epochs.
    """

    def __init__(self, images: ImageFiles, seed: int) -> None:
        self.images = images
        self.labels = images.labels
        self.seed = seed

    def __len__(self) -> int:
        return len(self.images)

    def __getitems__(self, keys: Sequence[Key]) -> Batch:
        """The images of (epoch, place)."""
        batch = self.images.__getitems__(keys)
        epoch = epochs_and_places(keys)[0][0]
        mirrored = epoch is not None and int(random_bits(self.seed, _FLIP, epoch)[0]) & 1
        return batch._replace(images=batch.images.flip(3)) if mirrored else batch


class PoseDistances(nn.Module):
    """R_ij = 1 − d_ij / unit, with the pose distances of MPII's files; labels are image numbers.

    The distances of a part are read when they are first asked for: 611 MB in memory for training,
    394 MB for test. Images of different parts have no distance.

    Args:
        root: The folder of `MPIIPose`.
        unit: Pose distance that counts as 1; nDCG depends on it.
    """

    def __init__(self, root: str, unit: float = 1.0) -> None:
        super().__init__()
        self.root = root
        self.unit = unit

    def forward(
        self, labels: Int[Tensor, "n"], ref_labels: Int[Tensor, "m"]
    ) -> Float[Tensor, "n m"]:
        """Relevance of every reference to every anchor."""
        train = _distances_of_train(self.root)
        start = len(train)
        of_test = torch.cat([labels, ref_labels]) >= start
        if of_test.any() and not of_test.all():
            raise ValueError("training and test images have no pose distance between them")
        table = _distances_of_test(self.root) if of_test.any() else train
        own, others = (part.cpu() - start * int(of_test.any()) for part in (labels, ref_labels))
        found = 1 - table[own][:, others] / self.unit
        return found.to(labels.device)


@cache
def _train_images(root: str) -> int:
    return len(_crops(Path(root) / "0"))


@cache
def _distances_of_train(root: str) -> Float[Tensor, "n n"]:
    lists = read_lists(f"{root}/list_nn.pkl").astype(np.int64)
    distances = read_lists(f"{root}/dist_nn.pkl").astype(np.float32)
    if lists.shape != distances.shape or lists.shape[1] != len(lists) - 1:
        raise ValueError(
            f"list_nn.pkl and dist_nn.pkl must list all others of each image; got {lists.shape} "
            f"and {distances.shape}"
        )
    table = np.zeros((len(lists), len(lists)), np.float32)
    np.put_along_axis(table, lists, distances, 1)
    return torch.from_numpy(table)


@cache
def _distances_of_test(root: str) -> Float[Tensor, "n n"]:
    from scipy.io import loadmat

    path = Path(root) / "dist_pose_val.mat"
    arrays = [value for name, value in loadmat(path).items() if not name.startswith("__")]
    if len(arrays) != 1 or arrays[0].ndim != 2 or len(arrays[0]) != arrays[0].shape[1]:
        raise ValueError(f"{path} must hold one square array of distances")
    return torch.from_numpy(np.ascontiguousarray(arrays[0], dtype=np.float32))


def _lists_among(
    kept: NDArray[np.int64], images: int, k: int, path: Path
) -> Int[np.ndarray, "n k"]:
    """The first k of each kept image's list that are kept, by their place among the kept."""
    lists = read_lists(str(path)).astype(np.int64)
    check_neighbours(lists, images, str(path))
    place = np.full(images, -1)
    place[kept] = np.arange(len(kept))
    among = place[lists[kept]]
    first = np.argsort(among < 0, axis=1, kind="stable")[:, :k]
    found: NDArray[np.int64] = np.take_along_axis(among, first, 1)
    if found.shape[1] < k or (found < 0).any():
        raise ValueError(f"{path} does not list {k} neighbours of each image outside of validation")
    return found


def _crops(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FileNotFoundError(f"MPII's folder {folder} does not exist (from {Path.cwd()})")
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in _SUFFIXES)
    if not files:
        raise FileNotFoundError(f"no images in {folder}")
    return files


def _training_crop() -> Any:
    shift = 0.03 * _SIDE / _STORED
    return v2.Compose(
        [
            v2.RandomAffine(0, translate=(shift, shift), scale=(0.95, 1.05)),
            evaluation_transform(_SIDE, _STORED),
        ]
    )
