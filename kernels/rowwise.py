"""What rows cost, a block of them at a time; for backward one n×m tensor is kept, the derivative.

A loss gives its equation and autograd derives it block by block; or a kernel gives the derivative.
"""

import operator
from collections.abc import Callable, Iterator
from functools import partial, reduce
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.utils.checkpoint import checkpoint

from ranklight.kernels.chunks import row_chunks
from ranklight.kernels.eager import without_autocast

# Autograd takes a fixed time a block: with tables, of which few rows fit a block, blocks of this
# many times the cache's size are faster.
_LARGER_TABLES = 2
Equation = Callable[..., Tensor]
Kernel = Callable[..., tuple[Tensor, ...]]


def in_row_blocks(
    equation: Equation,
    similarity: Float[Tensor, "n m"],
    *others: Tensor,
    terms: Int[Tensor, "n p"] | None = None,
) -> Float[Tensor, " n"]:
    """The cost of each row by its equation, differentiable once.

    A block of rows is computed and differentiated in forward, while it is in the cache: what the
    equation's steps leave for their derivatives is as large as the block, and goes with it.

    Args:
        equation: `equation(similarity, *others) -> cost` of some rows; or with `terms` a sum over
            them, `equation(similarity, *others, some_terms) -> its part of the cost`.
        similarity: S.
        others: What else the equation takes, by rows.
        terms: p columns of each row, of which the equation holds a table of p × m.
    """
    table = similarity.shape[1]
    if terms is not None:
        table, others = table * terms.shape[1] // _LARGER_TABLES, (*others, terms)
    if torch.compiler.is_compiling():
        return _recomputed(equation, terms is not None, similarity, others, table)
    kernel = partial(_by_autograd, equation, terms is not None)
    derivative, cost = run_in_blocks(kernel, similarity, others, table)
    differentiable: Tensor = _WithDerivative.apply(similarity, cost, derivative)
    return differentiable


def with_derivative(
    kernel: Kernel, similarity: Float[Tensor, "n m"], *others: Tensor
) -> tuple[Tensor, ...]:
    """The cost of each row by a kernel that knows its derivative, differentiable once.

    Args:
        kernel: `kernel(similarity, *others) -> (derivative, cost, ...)` of some rows, with one
            element a row in all but the derivative. It runs without gradient.
        similarity: S.
        others: What else the kernel takes, by rows.

    Returns:
        What the kernel returns after the derivative.
    """
    derivative, cost, *more = run_in_blocks(kernel, similarity, others, similarity.shape[1])
    return _WithDerivative.apply(similarity, cost, derivative), *more


def run_in_blocks(
    kernel: Kernel, similarity: Tensor, others: tuple[Tensor, ...], elements_per_row: int
) -> tuple[Tensor, ...]:
    """What a kernel returns of all rows, without gradient; its first tensor is as large as S."""
    similarity = similarity.detach()
    blocks = row_chunks(similarity, elements_per_row)
    with torch.no_grad(), without_autocast(similarity):
        if len(blocks) == 1:
            return kernel(similarity, *others)
        derivative, found = torch.empty_like(similarity), []
        for rows in blocks:
            derivative[rows], *values = kernel(similarity[rows], *(o[rows] for o in others))
            found.append(values)
    return derivative, *(torch.cat(values) for values in zip(*found, strict=True))


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


def refuse_create_graph() -> None:
    """Raise where the backward of a kept derivative is to be differentiated itself."""
    if torch.is_grad_enabled() and not torch.compiler.is_compiling():
        raise RuntimeError(
            "this loss is differentiable once: it keeps its derivative, not how that came about, "
            "and cannot be used with create_graph=True, for example in a penalty on gradients"
        )


def _by_autograd(
    equation: Equation, of_terms: bool, similarity: Tensor, *others: Tensor
) -> tuple[Tensor, Tensor]:
    def differentiated(arguments: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            leaf = similarity.detach().requires_grad_()
            cost = equation(leaf, *arguments)
            (derivative,) = torch.autograd.grad(cost, leaf, torch.ones_like(cost))
        return derivative, cost.detach()

    parts = map(differentiated, _parts(of_terms, similarity, *others))
    return reduce(lambda a, b: (a[0] + b[0], a[1] + b[1]), parts)


def _recomputed(
    equation: Equation,
    of_terms: bool,
    similarity: Tensor,
    others: tuple[Tensor, ...],
    elements_per_row: int,
) -> Tensor:
    """The same for a compiler, which cannot trace autograd inside of forward.

    It derives the equation itself, and computes each block again on its way back.
    """
    costs = []
    with without_autocast(similarity):
        for rows in row_chunks(similarity, elements_per_row):
            block = similarity[rows]
            parts = (
                checkpoint(equation, block, *arguments, use_reentrant=False)
                for arguments in _parts(of_terms, block, *(o[rows] for o in others))
            )
            costs.append(reduce(operator.add, parts))
    return torch.cat(costs)


def _parts(of_terms: bool, similarity: Tensor, *others: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """What an equation takes beside S; where the last are terms of a sum, some at a time."""
    if not of_terms:
        yield others
        return
    *rest, terms = others
    for some in row_chunks(terms.T, similarity.numel() // _LARGER_TABLES):
        yield *rest, terms[:, some]


class _WithDerivative(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, similarity: Tensor, value: Tensor, derivative: Tensor) -> Tensor:
        ctx.save_for_backward(derivative)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        refuse_create_graph()
        (derivative,) = ctx.saved_tensors
        return derivative * grads[0].unsqueeze(1), None, None
