"""Handwritten digits in poses, labelled with the pose, in five splits of different digits."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import Dataset

from ranklight.datamodules.batch import Batch
from ranklight.datamodules.digits.drawing import (
    as_pictures,
    draw_clutter,
    draw_whole,
    random_numbers,
)
from ranklight.datamodules.digits.handwritten import handwritten_digits
from ranklight.datamodules.loaders import Key, epochs_and_positions
from ranklight.datamodules.randomness import image_seed, random_bits, uniform
from ranklight.datamodules.splits import split_hash

_SIDE, _FRAGMENTS = 48, 8
_EVALUATION_DIGITS = 200
_POSE = 3

Pair = tuple[int, int]


class PosedDigits(Dataset[Batch]):
    """Each scene shows one digit, 48×48 pixels, labelled with its pose whatever digit it is.

    Scene i shows digit i mod (number of digits), turned by an angle uniform within ±`max_angle`, at
    0.35 to 0.7 of the scene's side (log-uniform), its center uniform over where it is inside when
    upright. The pose follows from (seed, index) alone and never changes. Eight 4×4 fragments of
    digits *of the same split* lie about, turned too, 5 to 8 pixels wide, the lighter pixel winning;
    normal noise of standard deviation 0.1 is added, and the result cut off at 0 and 1. Clutter and
    noise follow from (drawing_seed, epoch, index) in training, from (seed, index) in evaluation.

    The label is (p·x, p·y, a·cos φ, a·sin φ, s·log size): x and y from −1 to 1 over the scene, φ
    the turn, size the digit's side over the scene's; p, a and s are `weights`. So the Euclidean
    distance of two labels is that of their poses.

    Args:
        digits: Grey levels in 0..1 of the digits of this split.
        classes: Which digit each is.
        indices: The number of each scene, which its pose follows from.
        weights: Of position, angle and log size.
        max_angle: In degrees.
        seed: Another seed is other poses.
        drawing_seed: Another one draws clutter and noise otherwise in training.
        label_digit: Put the digit, 0..9, in front of the pose in the label.

    Attributes:
        labels: One row a scene.
    """

    def __init__(
        self,
        digits: Float[Tensor, "digits 8 8"],
        classes: Int[Tensor, " digits"],
        indices: Int[np.ndarray, "n"],
        weights: tuple[float, float, float],
        max_angle: float,
        seed: int,
        drawing_seed: int,
        label_digit: bool = False,
    ) -> None:
        self.digits = digits
        self.indices = torch.from_numpy(indices)
        self.seed = seed
        self.drawing_seed = drawing_seed
        draws = torch.from_numpy(uniform(seed, _POSE, indices[:, None], np.arange(4))).float()
        self.size = 0.35 * 2 ** draws[:, 0]
        self.center = (2 * draws[:, 1:3] - 1) * (1 - self.size[:, None])
        self.angle = (2 * draws[:, 3] - 1) * math.radians(max_angle)
        self.sources = torch.arange(len(indices)) % len(digits)
        position, angle, scale = weights
        turn = angle * torch.stack([self.angle.cos(), self.angle.sin()], 1)
        pose = [position * self.center, turn, scale * self.size.log()[:, None]]
        shown = [classes[self.sources, None].float()] if label_digit else []
        self.labels = torch.cat([*shown, *pose], 1)

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
        numbers, noise = random_numbers(seeds, (_FRAGMENTS, 7), _SIDE)
        clutter = draw_clutter(self.digits, numbers, _SIDE)
        scenes = torch.maximum(clutter, self._draw_digits(positions))
        images = as_pictures(scenes.add_(noise, alpha=0.1))
        return Batch(images, self.labels[positions], indices)

    def _draw_digits(self, positions: list[int]) -> Float[Tensor, "n 48 48"]:
        digits = self.digits[self.sources[positions]]
        center, angle = self.center[positions], self.angle[positions]
        return draw_whole(digits, center, angle, self.size[positions], _SIDE)


def scene_counts(train: int, val: Pair, test: Pair) -> tuple[int, ...]:
    """How many scenes training, and queries and gallery of validation and of test have.

    Raises:
        ValueError: One of them is below 1.
    """
    scenes = (train, *val, *test)
    if min(scenes) < 1:
        raise ValueError(
            "train_scenes, val_scenes and test_scenes must be at least 1; got "
            f"{train}, {val} and {test}"
        )
    return scenes


def posed_splits(
    scenes: tuple[int, ...],
    weights: tuple[float, float, float],
    max_angle: float,
    split_seed: int,
    seed: int,
    label_digit: bool = False,
) -> tuple[list[PosedDigits], str]:
    """Training, then queries and gallery of validation and of test, each of other digits.

    Returns:
        The five splits, and a name of which digit is in which.
    """
    digits, classes = handwritten_digits()
    order = np.argsort(random_bits(split_seed, np.arange(len(digits))), kind="stable")
    first = len(digits) - 4 * _EVALUATION_DIGITS
    digits_of = np.split(order, first + _EVALUATION_DIGITS * np.arange(4))
    splits = [
        PosedDigits(
            digits[sources],
            classes[sources],
            np.arange(last - count, last),
            weights,
            max_angle,
            split_seed,
            seed,
            label_digit,
        )
        for sources, count, last in zip(digits_of, scenes, np.cumsum(scenes), strict=True)
    ]
    return splits, split_hash(*digits_of)
