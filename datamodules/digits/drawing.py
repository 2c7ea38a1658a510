"""How handwritten digits are drawn into scenes: turned, scaled, moved, with clutter and noise."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor

_DIGIT, _FRAGMENT = 8, 4
# Fragments are as many pixels wide in every scene as in one of 32, and fit into 16 however turned.
_CLUTTER_SIDE, _CLUTTER_MARGIN = 32, 8


def as_pictures(scenes: Float[Tensor, "n h w"]) -> UInt8[Tensor, "n 1 h w"]:
    """Scenes of 0..1, cut off there, as grey pictures of 0..255."""
    return (scenes.clamp(0, 1) * 255).round().to(torch.uint8).unsqueeze(1)


def random_numbers(
    seeds: Sequence[int], shape: tuple[int, int], side: int
) -> tuple[Float[Tensor, "n a b"], Float[Tensor, "n h w"]]:
    """What each scene draws from a seed of its own: uniform numbers, and normal noise a pixel."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    uniform = torch.stack([torch.rand(shape, generator=generator) for generator in generators])
    noise = torch.stack([torch.randn(side, side, generator=generator) for generator in generators])
    return uniform, noise


def draw_whole(
    digits: Float[Tensor, "n 8 8"],
    center: Float[Tensor, "n 2"],
    angle: Float[Tensor, " n"],
    size: Float[Tensor, " n"],
    side: int,
) -> Float[Tensor, "n h w"]:
    """A scene of `side` pixels for each digit, whose center is given as (x, y) from −1 to 1."""
    axis = (torch.arange(side) + 0.5) / (side / 2) - 1
    across, down = axis - center[:, :1], axis - center[:, 1:]
    return draw(digits, across, down, angle, size, torch.zeros(len(digits), 2))


def draw_clutter(
    digits: Float[Tensor, "digits 8 8"], uniform: Float[Tensor, "n f 7"], side: int
) -> Float[Tensor, "n h w"]:
    """Scenes with f fragments of digits each: 4×4 of their pixels, turned by up to ±45°.

    Args:
        digits: Fragments are cut out of these.
        uniform: Numbers of [0, 1): of a fragment its size, center (2), angle, corner in its digit
            (2), and which digit.
        side: Of a scene in pixels.
    """
    flat = uniform.flatten(0, 1)
    size = 0.3 + 0.2 * flat[:, 0]
    center = flat[:, 1:3] * side
    angle = (2 * flat[:, 3] - 1) * (math.pi / 4)
    corner = (flat[:, 4:6] * (_DIGIT - _FRAGMENT + 1)).long()
    sources = digits[(flat[:, 6] * len(digits)).long()]
    middle = (corner + _FRAGMENT / 2) / (_DIGIT / 2) - 1
    across, down = around(center, _CLUTTER_MARGIN, _CLUTTER_SIDE)
    patches = draw(_window(sources, corner), across, down, angle, size, middle)
    scene = torch.arange(len(uniform)).repeat_interleave(uniform.shape[1])
    return overlay(patches, scene, center, len(uniform), side)


def around(
    center: Float[Tensor, "p 2"], margin: int, side: int
) -> tuple[Float[Tensor, "p w"], Float[Tensor, "p w"]]:
    """Where the pixels of a patch lie: its columns and rows, from the center, in half scenes.

    The patch reaches `margin` pixels to each side of the pixel that holds the center, in a scene of
    `side` pixels.
    """
    steps = torch.arange(-margin, margin) + 0.5
    offset = (steps - center.frac()[..., None]) / (side / 2)
    return offset[:, 0], offset[:, 1]


def draw(
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
        across: Where the columns of each picture are, from the digit's center, in half scenes.
        down: Where its rows are.
        angle: How far each digit is turned, in radians.
        size: Its side, in sides of the scene.
        middle: The point of the digit, −1 to 1, that lies at its center and stays when it turns.
    """
    cos, sin = (angle.cos() / size)[:, None, None], (angle.sin() / size)[:, None, None]
    across, down = across[:, None, :], down[:, :, None]
    x = cos * across + sin * down + middle[:, 0, None, None]
    y = cos * down - sin * across + middle[:, 1, None, None]
    grid = torch.stack([x, y], -1)
    pictures: Tensor = F.grid_sample(sources.unsqueeze(1), grid, align_corners=False)
    return pictures.squeeze(1)


def overlay(
    patches: Float[Tensor, "p w w"],
    scene: Int[Tensor, " p"],
    center: Float[Tensor, "p 2"],
    scenes: int,
    side: int,
) -> Float[Tensor, "n h h"]:
    """Patches laid over each other about their centers, the lighter pixel winning.

    Args:
        patches: Of an even width.
        scene: Which scene each is laid into.
        center: Where in it, as (x, y) in pixels; what lies outside of the scene is cut off.
        scenes: How many there are.
        side: Of a scene in pixels.
    """
    margin = patches.shape[-1] // 2
    wide = side + 2 * margin
    steps = torch.arange(2 * margin)
    inside = (steps[:, None] * wide + steps).flatten()
    corner = (scene * wide + center[:, 1].long()) * wide + center[:, 0].long()
    canvas = torch.zeros(scenes * wide * wide)
    canvas.scatter_reduce_(0, (corner[:, None] + inside).flatten(), patches.flatten(), "amax")
    inner = slice(margin, margin + side)
    return canvas.view(-1, wide, wide)[:, inner, inner].clone()


def _window(sources: Float[Tensor, "n 8 8"], corner: Int[Tensor, "n 2"]) -> Float[Tensor, "n 8 8"]:
    """The digits, black outside of a 4×4 window whose corner is given as (x, y)."""
    offset = torch.arange(_DIGIT) - corner[..., None]
    inside = (offset >= 0) & (offset < _FRAGMENT)
    return sources * (inside[:, 0, None, :] & inside[:, 1, :, None])
