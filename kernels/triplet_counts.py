"""Sums over triplets and orders within rows by sorting: n·m memory, never n·m·m."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ranklight.kernels.few_positives import active_among_few, closest_below_few, few_columns
from ranklight.kernels.rowwise import by_rows, eager_on_cpu, masked_where, row_chunks
from ranklight.kernels.sortable_bits import sortable_bits

_COLUMN_BITS = 31
_COLUMN_MASK = 2**_COLUMN_BITS - 1


def ascending(
    keys: Float[Tensor, "n m"], later: Bool[Tensor, "n m"], selected: Bool[Tensor, "n m"]
) -> Int[Tensor, "n m"]:
    """Columns of each row by ascending key; where keys tie those of `later` come last.

    Columns that are not selected end the row.
    """
    keys = torch.where(selected, keys, torch.inf)
    if keys.dtype == torch.float32:
        last = later.long().bitwise_left_shift_(_COLUMN_BITS)
        order: Tensor = _sort(_packed(keys).bitwise_or_(last)) & _COLUMN_MASK
        return order
    by_kind: Tensor = _sort(later.long() << _COLUMN_BITS | _columns(later)) & _COLUMN_MASK
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
            found = closest_below_few(similarity[rows], columns, negative[rows], or_farthest)
            below[rows].scatter_reduce_(1, columns.clamp(min=0), found, "amax")
    return below


def triplet_hinge(
    similarity: Float[Tensor, "n m"],
    relevance: Float[Tensor, "n m"],
    selected: Bool[Tensor, "n m"],
    margin: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Σ max(0, 2 S_aj − 2 S_ai + m) over the triplets with R_ai > R_aj, of each anchor.

    With w_ak = active triplets that have k as j, minus those that have k as i, the sum is
    2 Σ_k w_ak S_ak + m · active. The weights are counted in O(m log m) time a row and no more
    memory than S: relevance of two levels takes one sort (on the CPU none, where the better ones
    are few: `few_positives`), of L levels log2(L). There two columns are counted at the highest bit
    in which the ranks of their relevance differ, among the columns that share all bits above.

    Returns:
        Rows of the sum, its derivative, active triplets, triplets, and pairs (a, i) in a triplet.
    """
    weight, active, triplets, pairs = _count(similarity, relevance, selected, margin / 2)
    cost = _hinge(similarity, selected, weight, active, margin / 2)
    return 2 * cost, 2 * weight, active, triplets, pairs


def pair_hinge(
    similarity: Float[Tensor, "n m"],
    positive: Bool[Tensor, "n m"],
    negative: Bool[Tensor, "n m"],
    worth: Float[Tensor, "n m"] | None = None,
    *,
    margin: float,
) -> tuple[Tensor, Tensor]:
    """Σ w_i max(0, S_aj − S_ai + m) over the positives i and negatives j of each anchor.

    `triplet_hinge` of two levels that are known, in one sort; w is `worth` of the positives, at
    least 0, or 1.

    Returns:
        Rows of the sum, and its derivative: active pairs, at negatives those of worth w each, at
        positives minus w times their number.
    """
    weight, active = _active(similarity, positive, negative, margin, worth)
    return _hinge(similarity, positive | negative, weight, active, margin), weight


def count_violations(
    similarity: Float[Tensor, "n m"],
    positive: Bool[Tensor, "n m"],
    negative: Bool[Tensor, "n m"],
    margin: float,
) -> Float[Tensor, "n m"]:
    """For each positive i the number of negatives j with S_aj > S_ai − m, 0 elsewhere."""

    def count(similarity: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        weight, _ = _active(similarity, positive, negative, margin)
        return weight.clamp_(max=0).abs_()

    return by_rows(count, similarity, positive, negative)


def triplet_softplus(
    similarity: Float[Tensor, "n m"],
    relevance: Float[Tensor, "n m"],
    selected: Bool[Tensor, "n m"],
    better: Int[Tensor, "n p"],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Σ log(1 + e^{2 S_aj − 2 S_ai}) over the triplets with R_ai > R_aj and i in `better`.

    A table of `better` × m is held, in parts where it is large.

    Returns:
        Rows of the sum, its derivative, triplets, and pairs (a, i) in a triplet.
    """
    first, *rest = row_chunks(better.T, similarity.numel())
    cost, derivative, triplets, pairs = _softplus(similarity, relevance, selected, better[:, first])
    for some in rest:
        found = _softplus(similarity, relevance, selected, better[:, some])
        cost, derivative = cost + found[0], derivative + found[1]
        triplets, pairs = triplets + found[2], pairs + found[3]
    return cost, derivative, triplets, pairs


def _softplus(
    similarity: Tensor, relevance: Tensor, selected: Tensor, better: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    column = better.clamp(min=0)
    excess = 2 * (similarity.unsqueeze(1) - similarity.gather(1, column).unsqueeze(2))
    triplet = relevance.gather(1, column).unsqueeze(2) > relevance.unsqueeze(1)
    triplet &= selected.unsqueeze(1) & (better >= 0).unsqueeze(2)
    slope = torch.where(triplet, 2 * excess.sigmoid(), 0)
    cost = torch.where(triplet, F.softplus(excess), 0).sum((1, 2))
    derivative = slope.sum(1).scatter_add(1, column, -slope.sum(2))
    return cost, derivative, triplet.sum((1, 2)), triplet.any(2).sum(1)


def _closest_below(
    similarity: Tensor, positive: Tensor, negative: Tensor, or_farthest: bool
) -> Tensor:
    order = ascending(similarity, negative, positive | negative)
    place = torch.where(negative.gather(1, order), _columns(order), -1)
    place = place.cummax(1).values
    if or_farthest:
        first = (place < 0).sum(1, keepdim=True)
        place = torch.where((place < 0) & (first < place.shape[1]), first, place)
    column = torch.where(place < 0, -1, order.gather(1, place.clamp(min=0)))
    column = torch.empty_like(order).scatter_(1, order, column)
    return torch.where(positive, column, -1)


def _count(
    similarity: Tensor, relevance: Tensor, selected: Tensor, gap: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    if eager_on_cpu(similarity):
        lowest, highest = relevance.aminmax()
        above, below = relevance - lowest, highest - relevance
        if torch.minimum(above, below).max() == 0:
            high = above.bool()
            return _count_two_levels(similarity, selected & high, selected & ~high, gap)
    return _count_levels(similarity, dense_ranks(relevance, selected), selected, gap)


def _count_two_levels(
    similarity: Tensor, positive: Tensor, negative: Tensor, gap: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    weight, active = _active(similarity, positive, negative, gap)
    negatives, pairs = negative.sum(1), positive.sum(1)
    return weight, active, pairs * negatives, pairs * (negatives > 0)


def _active(
    similarity: Tensor,
    positive: Tensor,
    negative: Tensor,
    gap: float,
    worth: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    columns = few_columns(positive) if worth is None else None
    if columns is not None:
        return active_among_few(similarity, columns, negative, gap)
    selected = positive | negative
    keys = torch.where(positive, similarity - gap, similarity)
    order = ascending(keys, positive, selected)
    is_positive = positive.gather(1, order)
    weight = is_positive.cumsum(1, dtype=torch.int32)
    negatives_before = _columns(order).int() + 1 - weight
    above = negatives_before - negative.sum(1, keepdim=True).int()
    if worth is not None:
        worth = masked_where(worth, positive).gather(1, order)
        weight, above = worth.cumsum(1), worth * above
    weight = torch.where(is_positive, above, weight)
    active = -weight.clamp(max=0).sum(1)
    weight = torch.empty_like(weight).scatter_(1, order, weight)
    return masked_where(weight.to(similarity.dtype), selected), active


def _hinge(
    similarity: Tensor, selected: Tensor, weight: Tensor, active: Tensor, gap: float
) -> Tensor:
    """Of active pairs Σ (S_aj − S_ai + gap); the weights of a row sum to 0, so a shift is free."""
    similarity = masked_where(similarity, selected)
    mean = similarity.sum(1, keepdim=True) / selected.sum(1, keepdim=True).clamp(min=1)
    return (weight * (similarity - mean)).sum(1) + gap * active


def _count_levels(
    similarity: Tensor, level: Tensor, selected: Tensor, gap: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    n, m = similarity.shape
    keys = torch.cat([similarity, similarity - gap], 1)
    twice = torch.cat([selected, selected], 1)
    as_positive = (torch.arange(2 * m, device=keys.device) >= m).expand(n, -1)
    order = ascending(keys, as_positive, twice)
    column, as_positive, counted = order % m, order >= m, twice.gather(1, order)
    level = torch.where(selected, level, 0).gather(1, column)
    weight, lower = torch.zeros_like(level[:, :m]), torch.zeros_like(level[:, :m])
    active = weight.new_zeros(n)
    for bit in reversed(range(_bits(level, m))):
        place = _sort((level >> (bit + 1)) << _COLUMN_BITS | _columns(level)) & _COLUMN_MASK
        group = (level >> (bit + 1)).gather(1, place)
        high = (level >> bit & 1).bool().gather(1, place)
        used, positive = counted.gather(1, place), as_positive.gather(1, place)
        more, less = used & positive & high, used & ~(positive | high)
        more_before, _ = _in_group(more, group)
        less_before, less_in_all = _in_group(less, group)
        won = more * (less_in_all - less_before)
        weight.scatter_add_(1, column.gather(1, place), less * more_before - won)
        lower.scatter_add_(1, column.gather(1, place), more * less_in_all)
        active = active + won.sum(1)
    return weight.to(similarity.dtype), active, lower.sum(1), (lower > 0).sum(1)


def _in_group(flags: Tensor, group: Tensor) -> tuple[Tensor, Tensor]:
    """Flags of the own group up to each place, and in all of it; a group is a run of places."""
    total = torch.zeros_like(group).scatter_add_(1, group, flags.long())
    before_next = total.cumsum(1).gather(1, group)
    total = total.gather(1, group)
    return flags.cumsum(1) - (before_next - total), total


def _bits(level: Tensor, levels: int) -> int:
    largest = int(level.max()) if eager_on_cpu(level) and level.numel() else levels - 1
    return largest.bit_length()


def _packed(keys: Tensor) -> Tensor:
    """Integers in the order of the keys, the columns in their lowest bits."""
    return sortable_bits(keys).long().bitwise_left_shift_(32).bitwise_or_(_columns(keys))


def _columns(tensor: Tensor) -> Tensor:
    return torch.arange(tensor.shape[1], device=tensor.device)


def _sort(values: Tensor) -> Tensor:
    """Each row ascending. On CPU NumPy sorts integers ten times faster than torch."""
    if eager_on_cpu(values):
        values.numpy().sort(axis=1)
        return values
    return values.sort(dim=1).values
