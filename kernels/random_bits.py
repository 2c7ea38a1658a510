"""Random numbers that are a function of what they are for: the same on every device and rank."""

import torch
from jaxtyping import Int
from torch import Tensor

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15, as a signed integer
_MIX = ((30, -4658895280553007687), (27, -7723592293110705685), (31, 1))


def random_bits(seed: int, step: Int[Tensor, ""], items: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
    """63 random bits for each item in a step, without a generator and without asking the host.

    The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014) after each of seed, step and item.
    Products of int64 wrap around, as there.
    """
    bits = torch.zeros_like(items)
    for word in (seed, step, items):
        bits = _mixed((bits ^ word) + _GOLDEN)
    return bits & torch.iinfo(torch.int64).max


def _mixed(bits: Tensor) -> Tensor:
    for shift, factor in _MIX:
        bits = (bits ^ (bits >> shift & (1 << (64 - shift)) - 1)) * factor
    return bits
