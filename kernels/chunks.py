"""Many rows, a few at a time."""

from collections.abc import Iterator

import torch
from torch import Tensor

# What a block's intermediate results may hold: on a CPU they stay in the cache from one operation
# to the next; elsewhere, and in a graph that is compiled, few blocks keep a device busy.
_BLOCK_ELEMENTS = {"cpu": 1 << 17}
_BLOCK_ELEMENTS_ELSEWHERE = 1 << 26


def chunks(n: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` that cover 0 .. n − 1."""
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def row_chunks(tensor: Tensor, elements_per_row: int) -> list[slice]:
    """Slices of rows whose intermediate results fit a CPU's cache, or a part of a GPU's memory.

    At least one, so that a tensor without rows has a result as well.
    """
    budget = _BLOCK_ELEMENTS.get(tensor.device.type, _BLOCK_ELEMENTS_ELSEWHERE)
    if torch.compiler.is_compiling():
        budget = max(budget, _BLOCK_ELEMENTS_ELSEWHERE)
    return list(chunks(max(1, len(tensor)), max(1, budget // max(1, elements_per_row))))
