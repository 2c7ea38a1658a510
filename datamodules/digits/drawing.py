"""Handwritten digits, and how they are drawn into scenes."""

from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

DIGIT, FRAGMENT = 8, 4
"""Sides of a digit and of a fragment of one, in its own pixels."""


@cache
def handwritten_digits() -> tuple[Float[Tensor, "digits 8 8"], Int[Tensor, " digits"]]:
    """All 1,797, grey levels in 0..1, and their classes (UCI, 1998; scikit-learn brings them)."""
    # Here, because every import of this package would wait a second for it.
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return torch.tensor(bunch.images / 16, dtype=torch.float32), torch.tensor(bunch.target)


def drawn(
    sources: Float[Tensor, "n 8 8"],
    across: Float[Tensor, "n w"],
    down: Float[Tensor, "n h"],
    angle: Float[Tensor, " n"],
    size: Float[Tensor, " n"],
    middle: Float[Tensor, "n 2"],
) -> Float[Tensor, "n h w"]:
    """Digits, turned and scaled about a point of theirs, as seen at each pixel of a grid.

    Args:
        sources: The digits.
        across: Where the columns of each picture are, from the digit's place, in half scenes.
        down: Where its rows are.
        angle: How far each digit is turned, in radians.
        size: Its side, in sides of the scene.
        middle: The point of the digit, −1 to 1, that lies at its place and stays when it turns.
    """
    cos, sin = (angle.cos() / size)[:, None, None], (angle.sin() / size)[:, None, None]
    across, down = across[:, None, :], down[:, :, None]
    x = cos * across + sin * down + middle[:, 0, None, None]
    y = cos * down - sin * across + middle[:, 1, None, None]
    grid = torch.stack([x, y], -1)
    drawn: Tensor = F.grid_sample(sources.unsqueeze(1), grid, align_corners=False)
    return drawn.squeeze(1)


def window(sources: Float[Tensor, "n 8 8"], corner: Int[Tensor, "n 2"]) -> Float[Tensor, "n 8 8"]:
    """The digits, black outside of a 4×4 window whose corner is given as (x, y)."""
    offset = torch.arange(DIGIT) - corner[..., None]
    inside = (offset >= 0) & (offset < FRAGMENT)
    return sources * (inside[:, 0, None, :] & inside[:, 1, :, None])
