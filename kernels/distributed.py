"""What ranks tell each other; each function is the identity where there is one process alone."""

from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Shaped
from torch import Tensor


def in_group() -> bool:
    """Whether this process belongs to a group of ranks."""
    return dist.is_available() and dist.is_initialized()


def rank_and_world_size() -> tuple[int, int]:
    """This process and how many there are; (0, 1) outside of a group."""
    return (dist.get_rank(), dist.get_world_size()) if in_group() else (0, 1)


def all_gather_object(value: Any) -> list[Any]:
    """Any value that can be pickled, of every rank."""
    if not in_group():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def check_as_many_on_every_rank(rows: Shaped[Tensor, "n ..."], what: str) -> None:
    """Refuse, on every rank, rows of which the ranks hold different numbers; waits for the device.

    Raises:
        ValueError: The numbers differ.
    """
    if not in_group():
        return
    own = torch.tensor([len(rows)], device=rows.device)
    numbers = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(numbers, own)
    counts = torch.cat(numbers).tolist()
    if len(set(counts)) > 1:
        raise ValueError(f"every rank must hold as many {what}; the ranks hold {counts}")


def all_gather(rows: Shaped[Tensor, "n ..."]) -> Shaped[Tensor, "ranks n ..."]:
    """The rows of every rank, as many on each. A row's gradient is the sum of all ranks' for it."""
    if not in_group():
        return rows[None]
    gathered: Tensor = _Gather.apply(rows)
    return gathered


def all_reduce_sum(values: Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
    """The sum over ranks. Its gradient is the sum of all ranks' gradients for it."""
    if not in_group():
        return values
    total: Tensor = _Sum.apply(values)
    return total


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        gathered = rows.new_empty(dist.get_world_size(), *rows.shape)
        dist.all_gather(list(gathered), rows.contiguous())
        return gathered

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(gradient)
        return gradient[dist.get_rank()]


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(gradient)
        return gradient
