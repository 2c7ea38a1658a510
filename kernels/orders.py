"""Orders within rows, by sorting integers that hold a key and its column."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ranklight.kernels.chunks import row_chunks
from ranklight.kernels.eager import eager_on_cpu
from ranklight.kernels.few_positives import closest_below_few, few_columns
from ranklight.kernels.sortable_bits import sortable_bits

COLUMN_BITS = 31
_COLUMN_MASK = 2**COLUMN_BITS - 1


def ascending(
    keys: Float[Tensor, "n m"], later: Bool[Tensor, "n m"], selected: Bool[Tensor, "n m"]
) -> Int[Tensor, "n m"]:
    """Columns of each row by ascending key; where keys tie those of `later` come last.

    Columns that are not selected end the row.
    """
    keys = torch.where(selected, keys, torch.inf)
    if keys.dtype == torch.float32:
        last = later.long().bitwise_left_shift_(COLUMN_BITS)
        return sorted_columns(_packed(keys).bitwise_or_(last))
    by_kind = sorted_columns(later.long() << COLUMN_BITS | columns_of(later))
    return by_kind.gather(1, keys.gather(1, by_kind).sort(dim=1, stable=True).indices)


def dense_ranks(keys: Float[Tensor, "n m"], selected: Bool[Tensor, "n m"]) -> Int[Tensor, "n m"]:
    """Number of distinct smaller selected keys in the row; equal keys have equal ranks."""
    keys = torch.where(selected, keys, torch.inf)
    if keys.dtype == torch.float32:
        packed = _sort(_packed(keys))
        ordered, order = packed >> 32, packed & _COLUMN_MASK
    else:
        ordered, order = keys.sort(dim=1)
    larger = torch.zeros_like(order)
    larger[:, 1:] = ordered[:, 1:] > ordered[:, :-1]
    return torch.zeros_like(order).scatter_(1, order, larger.cumsum(1))


def count_below(keys: Float[Tensor, "n m"], selected: Bool[Tensor, "n m"]) -> Int[Tensor, "n m"]:
    """For each selected column the number of selected smaller keys in its row, 0 elsewhere."""
    rank = dense_ranks(keys, selected)
    of_rank = torch.zeros_like(rank).scatter_add_(1, rank, selected.long())
    below = of_rank.cumsum(1).sub_(of_rank)
    return torch.where(selected, below.gather(1, rank), 0)


def mean_ranks(keys: Float[Tensor, "n m"], selected: Bool[Tensor, "n m"]) -> Float[Tensor, "n m"]:
    """Ranks of the selected keys in their row, 1 the smallest; 0 elsewhere.

    Equal keys share the mean of their ranks.
    """
    rank = dense_ranks(keys, selected)
    of_rank = torch.zeros_like(rank).scatter_add_(1, rank, selected.long())
    middle = of_rank.cumsum(1).mul_(2).sub_(of_rank).add_(1)
    return torch.where(selected, middle.gather(1, rank), 0) / 2


def closest_below(
    similarity: Float[Tensor, "n m"],
    positive: Bool[Tensor, "n m"],
    negative: Bool[Tensor, "n m"],
    or_farthest: bool = False,
) -> Int[Tensor, "n m"]:
    """For each positive the column of the most similar negative strictly below it, or −1.

    Of equally similar negatives the last. With `or_farthest` the least similar negative stands in,
    of equals the first.
    """
    below = torch.full_like(similarity, -1, dtype=torch.int64)
    for rows in row_chunks(similarity, similarity.shape[1]):
        columns = few_columns(positive[rows])
        if columns is None:
            sides = positive[rows], negative[rows]
            below[rows] = _closest_below(similarity[rows], *sides, or_farthest)
        else:
            closest = closest_below_few(similarity[rows], columns, negative[rows], or_farthest)
            below[rows].scatter_reduce_(1, columns.clamp(min=0), closest, "amax")
    return below


def sorted_columns(packed: Int[Tensor, "n m"]) -> Int[Tensor, "n m"]:
    """The columns in the lowest `COLUMN_BITS` of integers, each row in ascending order of them."""
    columns: Tensor = _sort(packed) & _COLUMN_MASK
    return columns


def columns_of(tensor: Tensor) -> Int[Tensor, " m"]:
    """0 .. m − 1, where the tensor is."""
    return torch.arange(tensor.shape[1], device=tensor.device)


def _closest_below(
    similarity: Tensor, positive: Tensor, negative: Tensor, or_farthest: bool
) -> Tensor:
    # In ascending order with positives before the negatives they tie with, the closest negative
    # below a positive is the last negative in front of it: a running maximum of positions.
    order = ascending(similarity, negative, positive | negative)
    position = torch.where(negative.gather(1, order), columns_of(order), -1)
    position = position.cummax(1).values
    if or_farthest:
        first = (position < 0).sum(1, keepdim=True)
        position = torch.where((position < 0) & (first < position.shape[1]), first, position)
    column = torch.where(position < 0, -1, order.gather(1, position.clamp(min=0)))
    column = torch.empty_like(order).scatter_(1, order, column)
    return torch.where(positive, column, -1)


def _packed(keys: Tensor) -> Tensor:
    """Integers in the order of the keys, the columns in their lowest bits."""
    return sortable_bits(keys).long().bitwise_left_shift_(32).bitwise_or_(columns_of(keys))


def _sort(values: Tensor) -> Tensor:
    """Each row ascending. On CPU NumPy sorts integers ten times faster than torch."""
    if eager_on_cpu(values):
        values.numpy().sort(axis=1)
        return values
    return values.sort(dim=1).values
