"""Squared distances in whole bins, the same on any number of ranks and on any device."""

import math
from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ranklight.kernels.chunks import chunks
from ranklight.kernels.distributed import all_gather_object
from ranklight.search.embedded import Embedded

# Points are rounded to 2⁻¹⁵ and at most 2¹⁰ long: products and squared distances are multiples of
# 2⁻³⁰ up to 2²², whole numbers of 52 bits. float64 adds those without rounding in any order, so no
# kernel, block or rank can move a pair to another bin.
_LENGTH, _STEP = 2.0**10, 2.0**-15
# Unit vectors are a little longer than 1 by rounding; they are not to double the width of a bin.
_TOLERANCE = 1 + 2.0**-10
BINS = (1 << 22) + (1 << 14)

_ROWS = 4096
_LARGEST, _SMALLEST_EXPONENT = 2.0**500, -400
_T = TypeVar("_T")


class PairGrid(NamedTuple):
    """Bins of squared distance, 2²² up to the largest that there can be.

    Args:
        center: What is subtracted from every embedding.
        scale: What a bin of width 1 is multiplied by; a power of two.
    """

    center: Float64[Tensor, "d"]
    scale: float

    @property
    def width(self) -> float:
        """From one bin to the next: distances are rounded to a multiple of this."""
        return self.scale**-2

    def points(self, embeddings: Float[Tensor, "n d"]) -> Float64[Tensor, "n d"]:
        """Embeddings, centered, scaled and rounded."""
        centered = embeddings.double() - self.center
        return centered.mul_(self.scale / _STEP).round_().mul_(_STEP)


def grid_of(*sides: Embedded) -> PairGrid:
    """The finest grid that holds the distances of all ranks' rows; collective.

    Its center is zero, or the middle of the box around all rows where that makes bins narrower. The
    width is a power of two, so that any two grids have bins in common.

    Raises:
        ValueError: The squares of distances overflow.
    """
    low, high = _box(sides)
    zero, middle = torch.zeros_like(low), low / 2 + high / 2
    exponents = [_exponent(_farthest(sides, center)) for center in (zero, middle)]
    exponent, center = (
        (exponents[0], zero) if exponents[0] <= exponents[1] else (exponents[1], middle)
    )
    return PairGrid(center, math.ldexp(_LENGTH, -exponent))


def _exponent(length: float) -> int:
    """That of the smallest power of two that is no less, but for the tolerance."""
    if not length < _LARGEST:
        raise ValueError("embeddings are so far apart that squares overflow: scale them down")
    fraction, exponent = math.frexp(length / _TOLERANCE)
    return max(exponent - (fraction == 0.5), _SMALLEST_EXPONENT)


def _box(sides: tuple[Embedded, ...]) -> tuple[Tensor, Tensor]:
    """The least and the largest of every dimension; no order of rows or ranks changes them."""
    corners = []
    for side in sides:
        rows = side.embeddings
        own = [part.double().cpu() for part in rows.aminmax(dim=0)] if len(rows) else None
        corners += [both for both in _of_ranks(own, side) if both is not None]
    low = torch.stack([least for least, _ in corners]).amin(0)
    high = torch.stack([most for _, most in corners]).amax(0)
    device = sides[0].embeddings.device
    return low.to(device), high.to(device)


def _farthest(sides: tuple[Embedded, ...], center: Tensor) -> float:
    lengths = [0.0]
    for side in sides:
        own = [
            float(torch.linalg.vector_norm(side.embeddings[rows].double() - center, dim=1).max())
            for rows in chunks(len(side.embeddings), _ROWS)
        ]
        lengths += _of_ranks(max(own, default=0.0), side)
    return max(lengths)


def _of_ranks(value: _T, side: Embedded) -> list[_T]:
    return [value] if side.shards.ranks == 1 else all_gather_object(value)
