"""Real images without a download: scikit-learn's handwritten digits in cluttered scenes."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import Dataset

from ranklight.datamodules.batch import Batch
from ranklight.datamodules.digits.drawing import DIGIT, FRAGMENT, drawn, handwritten_digits, window
from ranklight.datamodules.loaders import (
    Key,
    epochs_and_places,
    hold_out,
    split_hash,
)
from ranklight.datamodules.randomness import image_seed
from ranklight.datamodules.samplers import ClassBalanced
from ranklight.datamodules.split_data import SplitData
from ranklight.kernels.distributed import rank_and_world_size

_SCENE, _PATCH, _FRAGMENTS = 32, 16, 6
_MARGIN = _PATCH // 2


class Scenes(Dataset[Batch]):
    """Each of some digits in a scene of its own: turned, scaled, moved, with clutter and noise.

    An 8×8 digit is drawn into 32×32 pixels: turned by up to ±45°, at 0.5 to 0.8 of the scene's
    size, anywhere inside. Six 4×4 fragments of digits *of the same split* lie about, turned too, at
    0.3 to 0.5 of the size, the lighter pixel winning; normal noise of standard deviation 0.1 is
    added, and the result cut off at 0 and 1. All of it follows from (seed, epoch, index), and from
    (seed, index) without an epoch; a scene is the same in whatever batch it is drawn.

    Args:
        digits: All digits, grey levels in 0..1.
        labels: Their classes.
        members: Which of them are in this split; clutter is made of no others.
        seed: Another seed is other scenes.
    """

    def __init__(
        self,
        digits: Float[Tensor, "digits 8 8"],
        labels: Int[Tensor, " digits"],
        members: Int[np.ndarray, "n"],
        seed: int,
    ) -> None:
        self.members = torch.from_numpy(members)
        self.digits = digits[self.members]
        self.labels = labels[self.members]
        self.seed = seed

    def __len__(self) -> int:
        return len(self.labels)

    def __getitems__(self, keys: Sequence[Key]) -> Batch:
        """The scenes of (epoch, place) in training, of places in evaluation."""
        epochs, places = epochs_and_places(keys)
        members = self.members[places]
        draws = [
            torch.Generator().manual_seed(image_seed(self.seed, epoch, index))
            for epoch, index in zip(epochs, members.tolist(), strict=True)
        ]
        uniform = torch.stack([torch.rand(1 + _FRAGMENTS, 7, generator=draw) for draw in draws])
        noise = torch.stack([torch.randn(_SCENE, _SCENE, generator=draw) for draw in draws])
        scenes = self._clutter(uniform[:, 1:])
        scenes = torch.maximum(scenes, self._targets(self.digits[places], uniform[:, 0]))
        images = (scenes + 0.1 * noise).clamp_(0, 1).unsqueeze(1)
        return Batch(images, self.labels[places], members)

    def _targets(
        self, digits: Float[Tensor, "n 8 8"], uniform: Float[Tensor, "n 7"]
    ) -> Float[Tensor, "n 32 32"]:
        size = 0.5 + 0.3 * uniform[:, 0]
        centre = (2 * uniform[:, 1:3] - 1) * (1 - size[:, None])
        angle = (2 * uniform[:, 3] - 1) * (math.pi / 4)
        axis = (torch.arange(_SCENE) + 0.5) / (_SCENE / 2) - 1
        across, down = axis - centre[:, :1], axis - centre[:, 1:]
        return drawn(digits, across, down, angle, size, torch.zeros(len(digits), 2))

    def _clutter(self, uniform: Float[Tensor, "n f 7"]) -> Float[Tensor, "n 32 32"]:
        """Fragments are drawn into small patches, which are then laid into the scenes."""
        scenes, flat = len(uniform), uniform.flatten(0, 1)
        size = 0.3 + 0.2 * flat[:, 0]
        angle = (2 * flat[:, 3] - 1) * (math.pi / 4)
        corner = (flat[:, 4:6] * (DIGIT - FRAGMENT + 1)).long()
        sources = self.digits[(flat[:, 6] * len(self.digits)).long()]
        centre = flat[:, 1:3] * _SCENE
        axis = torch.arange(_PATCH) + 0.5 - _MARGIN
        part = (axis - centre.frac()[..., None]) / (_SCENE / 2)
        middle = (corner + FRAGMENT / 2) / (DIGIT / 2) - 1
        patches = drawn(window(sources, corner), part[:, 0], part[:, 1], angle, size, middle)
        patches = patches.view(scenes, _FRAGMENTS, _PATCH, _PATCH)
        return _laid(patches, centre.long().view(scenes, _FRAGMENTS, 2))


class Digits(SplitData):
    """Scenes of handwritten digits: train on 0..4, test on 5..9, 32×32 pixels in one channel.

    The 1,797 digits come with scikit-learn (Alpaydin, Kaynak, UCI repository, 1998), so nothing is
    downloaded. `Scenes` says how they are drawn: every epoch anew in training, always alike in
    evaluation. Nearest neighbours on raw pixels find the right class for 0.45 of the test scenes.

    Args:
        classes_per_batch: P.
        samples_per_class: K.
        validation: "image_disjoint": a part of the images of all training classes;
            "class_disjoint": of the five training classes, some are for validation only, and a
            batch then has at most as many classes as are left.
        validation_fraction: How much of the training part is for validation.
        seed: Of the split, and of the scenes in evaluation.
        train_seed: Of the batches and of how training images are drawn; None is 0. Runs that differ
            in it alone are tested on the same images; the command line fills in the run's seed.
        eval_batch_size: Scenes in a batch of validation and test.
        num_workers: Processes that draw scenes; 0 is fast enough.
        pin_memory: Put batches in page-locked memory, for faster copies to a GPU.

    Attributes:
        split_hash: Names which digit is in which split.
    """

    train: Scenes
    val: Scenes
    test: Scenes

    def __init__(
        self,
        classes_per_batch: int = 5,
        samples_per_class: int = 16,
        validation: Literal["image_disjoint", "class_disjoint"] = "image_disjoint",
        validation_fraction: float = 0.2,
        seed: int = 0,
        train_seed: int | None = None,
        eval_batch_size: int = 256,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        super().__init__()
        self.classes_per_batch = classes_per_batch
        self.samples_per_class = samples_per_class
        self.validation = validation
        self.validation_fraction = validation_fraction
        self.seed = seed
        self.train_seed = train_seed or 0
        self.eval_batch_size = eval_batch_size
        self.num_workers = num_workers
        self.pin_memory = pin_memory

    def setup(self, stage: str | None = None) -> None:
        """Split the digits, and refuse batches that they cannot fill.

        Raises:
            ValueError: More classes or samples per class than the training part has.
        """
        digits, labels = handwritten_digits()
        seen, unseen = np.flatnonzero(labels < 5), np.flatnonzero(labels >= 5)
        kept, held = hold_out(labels[seen], self.validation_fraction, self.validation, self.seed)
        self.train = Scenes(digits, labels, seen[kept], self.train_seed)
        self.val = Scenes(digits, labels, seen[held], self.seed)
        self.test = Scenes(digits, labels, unseen, self.seed)
        self.split_hash = split_hash(seen[kept], seen[held], unseen)
        self.train_sampler = ClassBalanced(
            self.train.labels,
            self.classes_per_batch,
            self.samples_per_class,
            self.train_seed,
            "repeat",
            None,
            *rank_and_world_size(),
        )


def _laid(
    patches: Float[Tensor, "n f p p"], centre: Int[Tensor, "n f 2"]
) -> Float[Tensor, "n 32 32"]:
    """Patches laid over each other about their centres, the lighter pixel winning."""
    side = _SCENE + 2 * _MARGIN
    scenes = torch.zeros(len(patches), side * side)
    steps = torch.arange(_PATCH)
    inside = (steps[:, None] * side + steps).flatten()
    places = (centre[..., 1] * side + centre[..., 0])[..., None] + inside
    scenes.scatter_reduce_(1, places.flatten(1), patches.flatten(1), "amax")
    return scenes.view(-1, side, side)[:, _MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
