"""Real multi-label images without a download: several handwritten digits in one scene."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from ranklight.datamodules.batch import Batch
from ranklight.datamodules.digits.drawing import around, as_pictures, draw, overlay, random_numbers
from ranklight.datamodules.digits.handwritten import handwritten_digits, split_digits
from ranklight.datamodules.loaders import Key, epochs_and_positions
from ranklight.datamodules.randomness import image_seed, uniform
from ranklight.datamodules.samplers import Shuffled
from ranklight.datamodules.split_data import SplitData
from ranklight.datamodules.splits import split_hash
from ranklight.kernels.distributed import rank_and_world_size

_CLASSES, _MOST = 10, 4
_COUNT, _RACE, _SOURCE = 0, 1, 2
_SMALLEST, _LARGEST, _TURN = 0.22, 0.38, math.pi / 6
# Half of the largest digit and half of one of its 8 pixels, its corner turned.
_REACH = _LARGEST / 2 * 9 / 8 * (math.cos(_TURN) + math.sin(_TURN))


class SeveralDigits(Dataset[Batch]):
    """Scenes of 1..4 digits of different classes, labelled with which classes they show.

    How many digits a scene has is uniform over 1..4; classes are drawn one after the other without
    return, class c with weight 1 / (c + 1), so zeros are common and nines rare. Which digits a
    scene shows follows from (seed, index) alone and never changes. How they are drawn follows from
    (drawing_seed, epoch, index) in training, and from (seed, index) in evaluation: each turned by
    up to ±30°, at 0.22 to 0.38 of the scene's side, anywhere inside, the lighter pixel winning
    where they overlap; normal noise of standard deviation 0.1 is added and the result cut off at 0
    and 1.

    Args:
        digits: Grey levels in 0..1 of the digits of this split.
        classes: Their classes; every class occurs.
        indices: The number of each scene, which its digits follow from.
        size: Side of a scene in pixels.
        seed: Another seed is other scenes.
        drawing_seed: Another one draws the scenes otherwise in training.

    Attributes:
        labels: 1 where a class is in a scene, else 0.
    """

    def __init__(
        self,
        digits: Float[Tensor, "digits 8 8"],
        classes: Int[Tensor, " digits"],
        indices: Int[np.ndarray, "n"],
        size: int,
        seed: int,
        drawing_seed: int,
    ) -> None:
        self.digits = digits
        self.indices = torch.from_numpy(indices)
        self.size = size
        self.seed = seed
        self.drawing_seed = drawing_seed
        shown = torch.from_numpy(_classes_shown(seed, indices))
        self.labels = torch.zeros(len(indices), _CLASSES).scatter_reduce_(
            1, shown.clamp(min=0), (shown >= 0).float(), "amax"
        )
        self.sources = torch.from_numpy(_sources(seed, indices, shown.numpy(), classes.numpy()))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitems__(self, keys: Sequence[Key]) -> Batch:
        """The scenes of (epoch, position) in training, of positions in evaluation."""
        epochs, positions = epochs_and_positions(keys)
        indices = self.indices[positions]
        seeds = [
            image_seed(self.seed if epoch is None else self.drawing_seed, epoch, index)
            for epoch, index in zip(epochs, indices.tolist(), strict=True)
        ]
        numbers, noise = random_numbers(seeds, (_MOST, 4), self.size)
        scenes = self._draw_digits(self.sources[positions], numbers)
        images = as_pictures(scenes.add_(noise, alpha=0.1))
        return Batch(images, self.labels[positions], indices)

    def _draw_digits(
        self, sources: Int[Tensor, "n 4"], numbers: Float[Tensor, "n 4 4"]
    ) -> Float[Tensor, "n h w"]:
        """Every digit is drawn into a patch that holds it however it is turned, then laid in."""
        scene, slot = (sources >= 0).nonzero(as_tuple=True)
        digits, flat = self.digits[sources[scene, slot]], numbers[scene, slot]
        size = _SMALLEST + (_LARGEST - _SMALLEST) * flat[:, 0]
        angle = (2 * flat[:, 1] - 1) * _TURN
        center = self.size * (size[:, None] / 2 + (1 - size[:, None]) * flat[:, 2:])
        across, down = around(center, math.ceil(_REACH * self.size) + 1, self.size)
        patches = draw(digits, across, down, angle, size, torch.zeros(len(size), 2))
        return overlay(patches, scene, center, len(sources), self.size)


class DigitScenes(SplitData):
    """Scenes of 1..4 handwritten digits, 64×64 pixels in one channel; which classes do they show?

    The 1,797 digits come with scikit-learn (Alpaydin, Kaynak, UCI repository, 1998), so nothing is
    downloaded. Of each class 60 % are for training scenes, 15 % for validation and 25 % for test,
    so no digit is in scenes of two splits. `SeveralDigits` says how scenes are made. Labels are
    float32, one column a class, 1 or 0; a class's share of the scenes falls from about 0.64 for
    zeros to 0.11 for nines.

    Args:
        batch_size: Scenes in the global batch of training, that of all ranks together.
        train_scenes: Number of scenes for training.
        val_scenes: Number of scenes for validation.
        test_scenes: Number of scenes for test.
        size: Side of a scene in pixels.
        num_workers: Processes that draw scenes; 0 is fast enough.
        **options: Of `SplitData`: seeds and loaders.

    Attributes:
        class_names: The digits.
        split_hash: Names which scene shows which digits in which split.

    Raises:
        ValueError: A number of scenes below 1.
    """

    train: SeveralDigits
    val: SeveralDigits
    test: SeveralDigits
    class_names = tuple("0123456789")

    def __init__(
        self,
        batch_size: int = 64,
        train_scenes: int = 4000,
        val_scenes: int = 1000,
        test_scenes: int = 2000,
        size: int = 64,
        num_workers: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(num_workers=num_workers, **options)
        self.scenes = (train_scenes, val_scenes, test_scenes)
        if min(self.scenes) < 1:
            raise ValueError(
                f"train_scenes, val_scenes and test_scenes must be at least 1; got {self.scenes}"
            )
        self.batch_size = batch_size
        self.size = size

    def setup(self, stage: str | None = None) -> None:
        """Split the digits and arrange the scenes.

        Raises:
            ValueError: Fewer training scenes than a batch.
        """
        digits, classes = handwritten_digits()
        sources = split_digits(self.split_seed)
        ends = np.cumsum(self.scenes)
        self.train, self.val, self.test = (
            SeveralDigits(
                digits[shown],
                classes[shown],
                np.arange(last - count, last),
                self.size,
                self.split_seed,
                self.seed,
            )
            for shown, last, count in zip(sources, ends, self.scenes, strict=True)
        )
        self.split_hash = split_hash(*sources, ends)
        self.train_sampler = Shuffled(
            len(self.train), self.batch_size, self.seed, *rank_and_world_size()
        )


def _classes_shown(seed: int, indices: Int[np.ndarray, "n"]) -> Int[np.ndarray, "n 4"]:
    """The classes in each scene, -1 behind the last: weighted draws without return.

    The largest of u^(1/w) are such draws (Efraimidis, Spirakis, Information Processing Letters
    2006).
    """
    weights = 1 / np.arange(1, _CLASSES + 1)
    race = uniform(seed, _RACE, indices[:, None], np.arange(_CLASSES))
    keys = np.log(race) / weights
    shown = np.argsort(-keys, axis=1, kind="stable")[:, :_MOST]
    count = 1 + (_MOST * uniform(seed, _COUNT, indices[:, None], 0)).astype(np.int64)
    return np.where(np.arange(_MOST) < count, shown, -1)


def _sources(
    seed: int,
    indices: Int[np.ndarray, "n"],
    shown: Int[np.ndarray, "n 4"],
    classes: Int[np.ndarray, " digits"],
) -> NDArray[np.int64]:
    """A digit of each class shown, -1 where none is."""
    order = np.argsort(classes, kind="stable")
    counts = np.bincount(classes, minlength=_CLASSES)
    draws = uniform(seed, _SOURCE, indices[:, None], np.arange(_MOST))
    rank = (draws * counts[shown]).astype(np.int64)
    starts = np.cumsum(counts) - counts
    return np.where(shown >= 0, order[starts[shown] + rank], -1)
