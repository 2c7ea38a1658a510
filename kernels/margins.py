"""Angles made wider by a margin, in cosines."""

import math
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ranklight.kernels.masked import changed_where


def with_wider_angles(
    cosine: Float[Tensor, "n m"], widened: Bool[Tensor, "n m"], margin: float
) -> Float[Tensor, "n m"]:
    """cos(θ + m) of cos θ where `widened`, and cos θ elsewhere, whatever stands there.

    Args:
        cosine: cos θ.
        widened: Which angles to make wider.
        margin: m, in radians.
    """
    return changed_where(cosine, widened, partial(_wider, margin=margin))


def check_angle(margin: float) -> float:
    """A margin that leaves the order of angles as it is.

    Raises:
        ValueError: It is below 0 or above π/2.
    """
    if not 0 <= margin <= math.pi / 2:
        raise ValueError(f"a margin between angles must be 0 to π/2, in radians; got {margin}")
    return margin


def _wider(cosine: Tensor, margin: float) -> Tensor:
    """cos(θ + m), and cos θ − m sin m where θ + m would be beyond π and the cosine rise again.

    By the addition theorem cos θ cos m − sin θ sin m: no arc cosine, whose derivative is infinite
    at ±1. That of sin θ = √(1 − cos² θ) is as well, so where 1 − cos² θ is below the rounding of 1,
    and beyond ±1, where rounding may put a cosine, sin θ is held: the derivative is cos m there.
    """
    sine = (1 - cosine.square()).clamp(min=torch.finfo(cosine.dtype).eps).sqrt()
    wider = cosine * math.cos(margin) - sine * math.sin(margin)
    beyond = cosine - margin * math.sin(margin)
    return torch.where(cosine > -math.cos(margin), wider, beyond)
