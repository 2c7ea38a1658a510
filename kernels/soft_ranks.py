"""Ranks made smooth by a sigmoid, a few rows or columns at a time, forward and backward.

The rank of reference i is r_i = 1 + Σ_{j ≠ i} σ(x_ij) with x_ij = (S_j − S_i) / τ. Each term has
the derivative σ'(x) = σ(x) (1 − σ(x)) / τ by S_j, and minus that by S_i. With g_i = ∂L/∂r_i

    ∂L/∂S_j = Σ_{i ≠ j} g_i σ'(x_ij) − g_j Σ_{k ≠ j} σ'(x_jk)

where the second sum is there for those j whose rank was asked for. The table of x is computed again
on the way back: kept, it would be as large as rows × ranked columns × all columns.
"""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ranklight.kernels.chunks import row_chunks
from ranklight.kernels.eager import without_autocast
from ranklight.kernels.masked import masked_where
from ranklight.kernels.rowwise import refuse_create_graph


def soft_ranks(
    similarity: Float[Tensor, "n m"],
    columns: Int[Tensor, "n p"],
    selected: Bool[Tensor, "n m"],
    temperature: float,
) -> Float[Tensor, "n p"]:
    """Of each row the smooth ranks of some columns, differentiable once.

    Args:
        similarity: S.
        columns: Whose ranks, −1 for none, whose rank is 1.
        selected: Among whom; what is ranked is selected.
        temperature: τ.
    """
    ranks: Tensor = _SoftRanks.apply(similarity, columns, selected, temperature)
    return ranks


class _SoftRanks(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, similarity: Tensor, columns: Tensor, selected: Tensor, temperature: float
    ) -> Tensor:
        ctx.save_for_backward(similarity, columns, selected)
        ctx.temperature = temperature
        ranks = torch.ones_like(columns, dtype=similarity.dtype)
        with without_autocast(similarity):
            for rows, some in _blocks(similarity, columns):
                ahead = _ahead(similarity[rows], columns[rows, some], selected[rows], temperature)
                ranks[rows, some] += ahead.sum(2)
        return torch.where(columns < 0, 1, ranks)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        refuse_create_graph()
        similarity, columns, selected = ctx.saved_tensors
        gradient = torch.zeros_like(similarity)
        grad = torch.where(columns < 0, 0, grads[0]) / ctx.temperature
        with without_autocast(similarity):
            for rows, some in _blocks(similarity, columns):
                column = columns[rows, some]
                ahead = _ahead(similarity[rows], column, selected[rows], ctx.temperature)
                slope = (1 - ahead).mul_(ahead).mul_(grad[rows, some].unsqueeze(2))
                part = slope.sum(1)
                part.scatter_add_(1, column.clamp(min=0), slope.sum(2).neg_())
                gradient[rows] += part
        return gradient, None, None, None


def _ahead(similarity: Tensor, columns: Tensor, selected: Tensor, temperature: float) -> Tensor:
    """σ(x_ij) of some columns i, [rows, columns, m]; 0 at j = i and at what is not selected."""
    column = columns.clamp(min=0)
    own = torch.where(columns < 0, 0, similarity.gather(1, column))
    others = masked_where(similarity, selected, -torch.inf)
    excess = (others.unsqueeze(1) - own.unsqueeze(2)).div_(temperature)
    return excess.scatter_(2, column.unsqueeze(2), -torch.inf).sigmoid_()


def _blocks(similarity: Tensor, columns: Tensor) -> Iterator[tuple[slice, slice]]:
    """Rows and, where one row's table does not fit a block, some of its columns."""
    m = similarity.shape[1]
    for rows in row_chunks(similarity, m * columns.shape[1]):
        for some in row_chunks(columns.T, m * (rows.stop - rows.start)):
            yield rows, some
