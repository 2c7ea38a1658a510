"""Losses that are a softmax over the row, from what they make of S, R and M."""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ranklight.kernels.cross_entropy import (
    Logits,
    mean_cross_entropy,
    row_derivatives,
    row_sums,
)
from ranklight.kernels.masked import masked_mean
from ranklight.kernels.rowwise import with_derivative
from ranklight.pairs.selection import loss_inputs


def cross_entropy(
    logits: Callable[[Tensor, Tensor, Tensor], Logits],
    similarity: Float[Tensor, "n m"],
    relevance: Float[Tensor, "n m"],
    selection: Bool[Tensor, "n m"],
) -> Float[Tensor, ""]:
    """Mean of −log softmax at the positives, over the rows that have one.

    Rows are differentiated a block at a time, in forward: one n × m tensor is kept for backward.

    Args:
        logits: Of some rows of S, R and M.
        similarity: S.
        relevance: R.
        selection: M.

    Raises:
        TypeError: S or R are not floats, or the selection is not of pairs (Bool).
        ValueError: The three are not of one shape and on one device.
    """
    checked = loss_inputs(similarity, relevance, selection)
    if not similarity.numel() or torch.compiler.is_compiling():
        return mean_cross_entropy(row_sums(logits(similarity, relevance, selection)))
    cost, counted = with_derivative(partial(_differentiated, logits), *checked)
    return masked_mean(cost, counted)


def _differentiated(
    logits: Callable[[Tensor, Tensor, Tensor], Logits],
    similarity: Tensor,
    relevance: Tensor,
    selection: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    with torch.enable_grad():
        leaf = similarity.detach().requires_grad_()
        made = logits(leaf, relevance, selection)
    by_logits, cost, counted = row_derivatives(made._replace(values=made.values.detach()))
    (derivative,) = torch.autograd.grad(made.values, leaf, by_logits)
    return derivative, cost, counted
