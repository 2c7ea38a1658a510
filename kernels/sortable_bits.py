"""The bits of floats as integers: as they are, or turned over to be of the same order."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def bits_of(values: Float[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
    """The same memory as signed integers of the same width."""
    return values.view(_INTEGERS[values.element_size()])


def sortable_bits(values: Float[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
    """Integers of the same width, in the order of the values; −0 is 0."""
    return _turned(bits_of(values + 0.0))


def from_sortable_bits(bits: Int[Tensor, "*shape"], dtype: torch.dtype) -> Float[Tensor, "*shape"]:
    """The values of which these are the `sortable_bits`."""
    return _turned(bits).view(dtype)


def _turned(bits: Tensor) -> Tensor:
    """Negative numbers with all bits but the sign's turned over; its own inverse."""
    shift = 8 * bits.element_size() - 1
    return (bits >> shift).bitwise_and_(2**shift - 1).bitwise_xor_(bits)
