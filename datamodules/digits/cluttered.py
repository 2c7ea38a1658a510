"""Handwritten digits, each in a cluttered scene of its own, labelled with its class."""

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
from ranklight.datamodules.loaders import Key, epochs_and_positions
from ranklight.datamodules.randomness import image_seed

_SIDE, _FRAGMENTS = 32, 6


class ClutteredDigits(Dataset[Batch]):
    """Each of some digits in a scene of its own: turned, scaled, moved, with clutter and noise.

    An 8×8 digit is drawn into 32×32 pixels: turned by up to ±45°, at 0.5 to 0.8 of the scene's
    size, anywhere inside. Six 4×4 fragments of digits *of the same split* lie about, turned too, at
    0.3 to 0.5 of the size, the lighter pixel winning; normal noise of standard deviation 0.1 is
    added, and the result cut off at 0 and 1. All of it follows from (seed, epoch, index), and from
    (seed, index) without an epoch; a scene is the same in whatever batch it is drawn.

    Args:
        digits: All digits, grey levels in 0..1.
        labels: Their classes.
        indices: Which of them are in this split; clutter is made of no others.
        seed: Another seed is other scenes.
    """

    def __init__(
        self,
        digits: Float[Tensor, "digits 8 8"],
        labels: Int[Tensor, " digits"],
        indices: Int[np.ndarray, "n"],
        seed: int,
    ) -> None:
        self.indices = torch.from_numpy(indices)
        self.digits = digits[self.indices]
        self.labels = labels[self.indices]
        self.seed = seed

    def __len__(self) -> int:
        return len(self.labels)

    def __getitems__(self, keys: Sequence[Key]) -> Batch:
        """The scenes of (epoch, position) in training, of positions in evaluation."""
        epochs, positions = epochs_and_positions(keys)
        indices = self.indices[positions]
        seeds = [
            image_seed(self.seed, epoch, index)
            for epoch, index in zip(epochs, indices.tolist(), strict=True)
        ]
        uniform, noise = random_numbers(seeds, (1 + _FRAGMENTS, 7), _SIDE)
        clutter = draw_clutter(self.digits, uniform[:, 1:], _SIDE)
        scenes = torch.maximum(clutter, _draw_digits(self.digits[positions], uniform[:, 0]))
        images = as_pictures(scenes + 0.1 * noise)
        return Batch(images, self.labels[positions], indices)


def _draw_digits(
    digits: Float[Tensor, "n 8 8"], uniform: Float[Tensor, "n 7"]
) -> Float[Tensor, "n 32 32"]:
    size = 0.5 + 0.3 * uniform[:, 0]
    center = (2 * uniform[:, 1:3] - 1) * (1 - size[:, None])
    angle = (2 * uniform[:, 3] - 1) * (math.pi / 4)
    return draw_whole(digits, center, angle, size, _SIDE)
