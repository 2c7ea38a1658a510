"""Cross-entropy of a softmax over the row against its positives, whole or in blocks of columns."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ranklight.kernels.eager import eager_on_cpu
from ranklight.kernels.masked import (
    everywhere,
    log_sum_exp,
    log_sum_exp_and_weights,
    masked_mean,
    masked_where,
)
from ranklight.kernels.packing import where_true


class Logits(NamedTuple):
    """What a softmax is taken of: logits, which of them it should pick, and over which it goes."""

    values: Float[Tensor, "n m"]
    positive: Bool[Tensor, "n m"]
    summed: Bool[Tensor, "n m"]


class RowSums(NamedTuple):
    """Of some columns of each row, what the cross-entropy of the whole row is computed from."""

    log_sum: Float[Tensor, " n"]
    """Log of Σ e^x over the columns summed; minus infinity of none."""
    picked: Float[Tensor, " n"]
    """Σ x over the positives."""
    number: Int[Tensor, " n"]
    """How many positives."""


def row_sums(logits: Logits) -> RowSums:
    """The sums over the columns of each row."""
    return RowSums(
        log_sum_exp(logits.values, logits.summed),
        torch.where(logits.positive, logits.values, 0).sum(1),
        logits.positive.sum(1),
    )


def row_derivatives(
    logits: Logits,
) -> tuple[Float[Tensor, "n m"], Float[Tensor, " n"], Bool[Tensor, " n"]]:
    """The derivative of each row's cost by its logits, and what `row_costs` gives; no autograd.

    Of log Σ e^x the derivative is the softmax over the columns summed, of the mean over p positives
    it is 1/p at each, and that of a row without either is 0.
    """
    values, positive, summed = logits
    places = where_true(positive) if eager_on_cpu(values) else None
    log_sum, derivative = log_sum_exp_and_weights(values, summed)
    rows = RowSums(log_sum, *_of_positives(values, positive, places))
    cost, has_both = row_costs(rows)
    share = rows.number.clamp(min=1).to(cost.dtype).reciprocal_()
    if places is None:
        derivative.sub_(positive * share.unsqueeze(1))
    else:
        derivative[places] -= share[places[0]]
    if not everywhere(has_both):
        derivative.mul_(has_both.unsqueeze(1))
    return derivative, cost, has_both


def _of_positives(
    values: Tensor, positive: Tensor, places: tuple[Tensor, Tensor] | None
) -> tuple[Tensor, Tensor]:
    """Σ x over the positives of each row, and their number."""
    if places is None:
        return masked_where(values, positive).sum(1), positive.sum(1)
    row, n = places[0], len(values)
    picked = values.new_zeros(n).index_add_(0, row, values[places])
    return picked, torch.bincount(row, minlength=n)


def joined(blocks: list[RowSums]) -> RowSums:
    """The sums of whole rows, from those of blocks of their columns."""
    log_sums, picked, numbers = (torch.stack(sums, 1) for sums in zip(*blocks, strict=True))
    return RowSums(log_sum_exp(log_sums, log_sums > -torch.inf), picked.sum(1), numbers.sum(1))


def row_costs(rows: RowSums) -> tuple[Float[Tensor, " n"], Bool[Tensor, " n"]]:
    """Each row's log Σ e^x − (mean of x over the positives), 0 without either; and where not."""
    has_both = (rows.number > 0) & (rows.log_sum > -torch.inf)
    cost = rows.log_sum - rows.picked / rows.number.clamp(min=1)
    return torch.where(has_both, cost, 0), has_both


def mean_cross_entropy(rows: RowSums) -> Float[Tensor, ""]:
    """The mean cost of the rows that have positives and others."""
    return masked_mean(*row_costs(rows))
