"""Losses that know their derivative: rows in blocks, and one n×m tensor kept for backward."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from ranklight.kernels.sortable_bits import bits_of

_BLOCK_ELEMENTS = {"cpu": 1 << 17}
_BLOCK_ELEMENTS_ELSEWHERE = 1 << 26


def eager_on_cpu(tensor: Tensor) -> bool:
    """Whether shapes may depend on data: nothing waits for a device, and nothing is compiled."""
    return (
        not torch.compiler.is_compiling()
        and type(tensor) in (Tensor, nn.Parameter)
        and tensor.device.type == "cpu"
    )


def masked_where(
    values: Float[Tensor, "n m"], mask: Bool[Tensor, "n m"], otherwise: float = 0.0
) -> Float[Tensor, "n m"]:
    """Values where the mask is True and `otherwise` elsewhere, whatever stands there; no autograd.

    On CPU by their bits: `torch.where` branches, and is ten times slower on a mask without pattern.
    """
    if not eager_on_cpu(values):
        return torch.where(mask, values, otherwise)
    bits = bits_of(values)
    all_ones = mask.view(torch.int8).neg().to(bits.dtype)
    if otherwise == 0:
        return all_ones.bitwise_and_(bits).view(values.dtype)
    fill = bits_of(torch.tensor(otherwise, dtype=values.dtype))
    return all_ones.bitwise_and_(bits ^ fill).bitwise_xor_(fill).view(values.dtype)


def count_true(mask: Bool[Tensor, "n m"]) -> Int[Tensor, " 1"]:
    """How often the mask is True: one number for a block of rows, without a wider copy of it."""
    return mask.count_nonzero().unsqueeze(0)


def row_chunks(tensor: Tensor, elements_per_row: int) -> list[slice]:
    """Slices of rows whose intermediate results fit a CPU's cache, or a part of a GPU's memory."""
    budget = _BLOCK_ELEMENTS.get(tensor.device.type, _BLOCK_ELEMENTS_ELSEWHERE)
    if torch.compiler.is_compiling():
        budget = max(budget, _BLOCK_ELEMENTS_ELSEWHERE)
    rows = max(1, budget // max(1, elements_per_row))
    return [slice(start, start + rows) for start in range(0, max(1, len(tensor)), rows)]


def by_rows(
    function: Callable[..., Tensor], first: Shaped[Tensor, "n m"], *others: Tensor
) -> Shaped[Tensor, "n m"]:
    """A function of which each row depends on the same row of its arguments, in blocks."""
    blocks = row_chunks(first, first.shape[1])
    if len(blocks) == 1:
        return function(first, *others)
    some = function(first[blocks[0]], *(other[blocks[0]] for other in others))
    result = torch.empty_like(first, dtype=some.dtype)
    result[blocks[0]] = some
    for rows in blocks[1:]:
        result[rows] = function(first[rows], *(other[rows] for other in others))
    return result


def in_row_blocks(
    costs: Callable[..., tuple[Tensor, ...]],
    similarity: Float[Tensor, "n m"],
    *others: Tensor,
    elements_per_row: int | None = None,
) -> tuple[Tensor, ...]:
    """What each anchor pays, differentiable once, and what else is found about it.

    Args:
        costs: `costs(similarity, *others) -> (cost, derivative, ...)` of some rows: the cost of
            each row, its derivative with respect to the similarity, then any other tensors, of one
            element a row or of one a block. It runs without gradient.
        similarity: S.
        others: What else `costs` takes, by rows.
        elements_per_row: Size of the largest intermediate result; m by default.

    Returns:
        What `costs` returns without the derivative.
    """
    found, derivative = _run(costs, similarity, others, elements_per_row)
    cost: Tensor = _WithDerivative.apply(similarity, found[0], derivative)
    return cost, *found[1:]


def pull_and_push(
    costs: Callable[..., tuple[Tensor, ...]], similarity: Float[Tensor, "n m"], *others: Tensor
) -> tuple[Tensor, ...]:
    """What each anchor pays for its positives and for its negatives, differentiable once.

    A positive costs less when it is more similar, a negative when it is less: the derivatives of
    both costs fit one matrix, below 0 at positives and above 0 at negatives.

    Args:
        costs: `costs(similarity, *others) -> (pull, derivative, push, ...)` of some rows, as above.
        similarity: S.
        others: What else `costs` takes, by rows.

    Returns:
        What `costs` returns without the derivative.
    """
    (pull, push, *rest), derivative = _run(costs, similarity, others, None)
    pull, push = _PullAndPush.apply(similarity, pull, push, derivative)
    return pull, push, *rest


def _run(
    costs: Callable[..., tuple[Tensor, ...]],
    similarity: Tensor,
    others: tuple[Tensor, ...],
    elements_per_row: int | None,
) -> tuple[list[Tensor], Tensor]:
    similarity = similarity.detach()
    blocks = row_chunks(similarity, elements_per_row or similarity.shape[1])
    found = []
    with torch.no_grad(), torch.autocast(similarity.device.type, enabled=False):
        if len(blocks) == 1:
            cost, derivative, *rest = costs(similarity, *others)
            return [cost, *rest], derivative
        derivative = torch.empty_like(similarity)
        for rows in blocks:
            cost, derivative[rows], *rest = costs(similarity[rows], *(o[rows] for o in others))
            found.append([cost, *rest])
    return [torch.cat(parts) for parts in zip(*found, strict=True)], derivative


def _scaled(derivative: Tensor, pull: Tensor, push: Tensor) -> Tensor:
    up, down = derivative.clamp(max=0), derivative.clamp(min=0)
    return up.mul_(pull).addcmul_(down, push)


class _PullAndPush(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx, similarity: Tensor, pull: Tensor, push: Tensor, derivative: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(derivative)
        return pull.clone(), push.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        _refuse_create_graph()
        (derivative,) = ctx.saved_tensors
        pull, push = (grad.unsqueeze(1) for grad in grads)
        return by_rows(_scaled, derivative, pull, push), None, None, None


class _WithDerivative(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, similarity: Tensor, value: Tensor, derivative: Tensor) -> Tensor:
        ctx.save_for_backward(derivative)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        _refuse_create_graph()
        (derivative,) = ctx.saved_tensors
        return derivative * grads[0].unsqueeze(1), None, None


def _refuse_create_graph() -> None:
    if torch.is_grad_enabled() and not torch.compiler.is_compiling():
        raise RuntimeError(
            "this loss is differentiable once: it keeps its derivative, not how that came about, "
            "and cannot be used with create_graph=True, for example in a penalty on gradients"
        )
