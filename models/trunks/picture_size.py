"""Which pictures a network takes, and what it gives for them, without computing anything."""

from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ranklight.models.evaluation_mode import in_evaluation_mode

Shape = tuple[int, int, int]
"""Channels, height and width."""

REFUSALS = (AssertionError, IndexError, RuntimeError, TypeError, ValueError)
"""What a network raises on pictures that it cannot take."""

_SEARCHED = 64
"""How many pixels around a side are searched for one that a network takes."""


def shape_of_output(network: nn.Module, shape: Shape) -> torch.Size:
    """The shape of what a network gives for one picture, in eval mode."""
    with torch.no_grad():
        return _dry_run(network, _on_no_device(network), shape).shape


def without_influence(network: nn.Module, shape: Shape) -> set[str]:
    """Names of the parameters that the output does not depend on, such as a classifier's norm."""
    tensors = _on_no_device(network)
    learnt = {name: tensors[name] for name, _ in network.named_parameters()}
    with torch.enable_grad():
        for tensor in learnt.values():
            tensor.requires_grad_()
        output = _dry_run(network, tensors, shape)
        gradients = torch.autograd.grad(output.sum(), list(learnt.values()), allow_unused=True)
    return {name for name, gradient in zip(learnt, gradients, strict=True) if gradient is None}


def takes(network: nn.Module, shape: Shape) -> bool:
    """Whether a network takes pictures of this shape."""
    return _refusal(network, shape) is None


def check_picture_size(network: nn.Module, name: str, shape: Shape) -> None:
    """Refuse pictures that a network cannot take.

    Raises:
        ValueError: It cannot; names the nearest sides that it can.
    """
    reason = _refusal(network, shape)
    if reason is None:
        return
    channels, height, width = shape
    near = {
        near
        for side in (height, width)
        for near in _near(lambda side: takes(network, (channels, side, side)), side)
    }
    taken = f"it takes sides such as {' and '.join(map(str, sorted(near)))}" if near else reason
    raise ValueError(
        f"{name} cannot take pictures of {height} by {width} pixels: {taken}; "
        "set image_size of the data"
    )


def _near(is_taken: Callable[[int], bool], side: int) -> Iterator[int]:
    """Near sides of square pictures that are taken: at most one below and one above.

    Looked for among multiples of what patches and strides are: all sides would take a minute.
    """
    around = range(max(side - _SEARCHED, 1), side + _SEARCHED)
    usual = [each for each in around if not each % 14 or not each % 16]
    below, above = [s for s in usual if s <= side], [s for s in usual if s > side]
    for sides in (reversed(below), above):
        yield from islice(filter(is_taken, sides), 1)


def _refusal(network: nn.Module, shape: Shape) -> str | None:
    try:
        shape_of_output(network, shape)
    except REFUSALS as error:
        return str(error).splitlines()[0] if str(error) else type(error).__name__
    return None


def _on_no_device(network: nn.Module) -> dict[str, Tensor]:
    tensors = chain(network.named_parameters(), network.named_buffers())
    return {name: torch.empty_like(tensor, device="meta") for name, tensor in tensors}


def _dry_run(network: nn.Module, tensors: dict[str, Tensor], shape: Shape) -> Tensor:
    with in_evaluation_mode(network):
        picture = torch.zeros(1, *shape, device="meta")
        return cast(Tensor, functional_call(network, tensors, picture))
