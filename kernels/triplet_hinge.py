"""Hinges summed over all triplets of a row: n·m memory and a sort, never a table of n·m·m.

A triplet (i, j) of an anchor, i the better one, costs max(0, S_j − S_i + g) and is active where
that is above 0. With A the active triplets,

    Σ_A (S_j − S_i + g) = Σ_k w_k S_k + g |A|,    w_k = |{A: j = k}| − |{A: i = k}|

and w is the derivative too, for A changes only where a triplet costs 0. So all there is to do is
count for each k in how many active triplets it is the better one, and in how many the worse one.
S_j > S_i − g is a question of order: of S − g of the better and S of the worse ones, sorted.
"""

from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ranklight.kernels.chunks import row_chunks
from ranklight.kernels.eager import eager_on_cpu
from ranklight.kernels.few_positives import active_among_few, few_columns
from ranklight.kernels.masked import masked_where
from ranklight.kernels.orders import (
    COLUMN_BITS,
    ascending,
    columns_of,
    dense_ranks,
    sorted_columns,
)
from ranklight.kernels.rowwise import by_rows, with_derivative

_SHORT_ROW = 512


def triplet_hinge(
    similarity: Float[Tensor, "n m"],
    relevance: Float[Tensor, "n m"],
    selected: Bool[Tensor, "n m"],
    *,
    gap: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of each anchor Σ max(0, S_aj − S_ai + g) over the triplets with R_ai > R_aj.

    Args:
        similarity: S.
        relevance: R.
        selected: The references that i and j are of.
        gap: g.

    Returns:
        Of each anchor the sum, differentiable once; the numbers of active triplets, of triplets,
        and of pairs (a, i) in one.
    """
    cost, active, triplets, pairs = with_derivative(
        partial(_triplets, gap=gap), similarity, relevance, selected
    )
    return cost, active, triplets, pairs


def pair_hinge(
    similarity: Float[Tensor, "n m"],
    positive: Bool[Tensor, "n m"],
    negative: Bool[Tensor, "n m"],
    weight: Float[Tensor, "n m"] | None = None,
    *,
    margin: float,
) -> Float[Tensor, " n"]:
    """Of each anchor Σ v_i max(0, S_aj − S_ai + m) over its positives i and its negatives j.

    Args:
        similarity: S.
        positive: The better ones.
        negative: The worse ones.
        weight: v, at least 0 at positives; 1 by default.
        margin: m.

    Returns:
        The sum, differentiable once.
    """
    weights = () if weight is None else (weight,)
    kernel = partial(_pairs, margin=margin)
    (cost,) = with_derivative(kernel, similarity, positive, negative, *weights)
    return cost


def count_violations(
    similarity: Float[Tensor, "n m"],
    positive: Bool[Tensor, "n m"],
    negative: Bool[Tensor, "n m"],
    margin: float,
) -> Float[Tensor, "n m"]:
    """For each positive i the number of negatives j with S_aj > S_ai − m, 0 elsewhere."""

    def count(similarity: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        weight, _ = _active(similarity, positive, negative, margin)
        return weight.clamp_(max=0).abs_()  # below 0 are positives alone

    return by_rows(count, similarity, positive, negative)


def _triplets(
    similarity: Tensor, relevance: Tensor, selected: Tensor, gap: float
) -> tuple[Tensor, ...]:
    weight, active, triplets, pairs = _count(similarity, relevance, selected, gap)
    return weight, _hinge(similarity, selected, weight, active, gap), active, triplets, pairs


def _pairs(
    similarity: Tensor,
    positive: Tensor,
    negative: Tensor,
    weight: Tensor | None = None,
    *,
    margin: float,
) -> tuple[Tensor, Tensor]:
    slope, active = _active(similarity, positive, negative, margin, weight)
    return slope, _hinge(similarity, positive | negative, slope, active, margin)


def _hinge(
    similarity: Tensor, selected: Tensor, weight: Tensor, active: Tensor, gap: float
) -> Tensor:
    """Σ_k w_k S_k + g |A|; the weights of a row sum to 0, so a shift of its S is free."""
    similarity = masked_where(similarity, selected)
    mean = similarity.sum(1, keepdim=True) / selected.sum(1, keepdim=True).clamp(min=1)
    return (weight * (similarity - mean)).sum(1) + gap * active.to(similarity.dtype)


def _count(
    similarity: Tensor, relevance: Tensor, selected: Tensor, gap: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Weights, active triplets, triplets and pairs: two levels of relevance in one sort."""
    if eager_on_cpu(similarity):
        lowest, highest = relevance.aminmax()
        above, below = relevance - lowest, highest - relevance
        if torch.minimum(above, below).max() == 0:
            high = above.bool()
            return _count_two_levels(similarity, selected & high, selected & ~high, gap)
    elif similarity.device.type != "cpu" and similarity.shape[1] <= _SHORT_ROW:
        return _count_each(similarity, relevance, selected, gap)
    return _count_levels(similarity, dense_ranks(relevance, selected), selected, gap)


def _count_each(
    similarity: Tensor, relevance: Tensor, selected: Tensor, gap: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The counts by a look at every triplet (a, i, j), some anchors at a time.

    In a dozen operations whatever the levels are: on a GPU, where each costs its start, that is
    less than sorting as long as rows are short.
    """
    counts = []
    for rows in row_chunks(similarity, similarity.shape[1] ** 2):
        own, grade, among = similarity[rows], relevance[rows], selected[rows]
        triplet = grade.unsqueeze(2) > grade.unsqueeze(1)
        triplet &= among.unsqueeze(2) & among.unsqueeze(1)
        lower = triplet.sum(2)
        active = triplet & (own.unsqueeze(1) > (own - gap).unsqueeze(2))
        as_better, as_worse = active.sum(2), active.sum(1)
        counts.append((as_worse - as_better, as_better.sum(1), lower.sum(1), (lower > 0).sum(1)))
    weight, active_triplets, triplets, pairs = map(torch.cat, zip(*counts, strict=True))
    return weight.to(similarity.dtype), active_triplets, triplets, pairs


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
    weight_of: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Weights w and |A| for positives against negatives; a pair counts v of its positive, or 1.

    Sorted by S at negatives and by S − g at positives, ties with the negatives first, a positive's
    active negatives are those behind it and a negative's active positives those in front.
    """
    columns = few_columns(positive) if weight_of is None else None
    if columns is not None:
        return active_among_few(similarity, columns, negative, gap)
    selected = positive | negative
    keys = torch.where(positive, similarity - gap, similarity)
    order = ascending(keys, positive, selected)
    is_positive = positive.gather(1, order)
    # Up to each position there are so many positives: what a negative there weighs, at least 0.
    positives_before = is_positive.cumsum(1, dtype=torch.int32)
    negatives_before = columns_of(order).int() + 1 - positives_before
    # A positive weighs minus its negatives behind, hence at most 0. At the end of the row, where
    # nothing is selected, both are meaningless; the last line leaves them out, and |A| is taken of
    # positives alone, whose weights are all that is below 0.
    minus_behind = negatives_before - negative.sum(1, keepdim=True).int()
    if weight_of is not None:
        weight_of = masked_where(weight_of, positive).gather(1, order)
        positives_before, minus_behind = weight_of.cumsum(1), weight_of * minus_behind
    weight = torch.where(is_positive, minus_behind, positives_before)
    active = -weight.clamp(max=0).sum(1)
    weight = torch.empty_like(weight).scatter_(1, order, weight)
    return masked_where(weight.to(similarity.dtype), selected), active


def _count_levels(
    similarity: Tensor, level: Tensor, selected: Tensor, gap: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The counts for levels 0 .. L − 1 of relevance, in log2(L) passes over a row sorted once.

    Of two different levels the higher has a 1 and the lower a 0 at the highest bit in which they
    differ, and all bits above in common. So each pair of levels is met exactly once if for each bit
    the columns are grouped by the bits above, and within a group those with a 1 are compared with
    those with a 0: two levels, counted as in `_active`.

    Any column is the better one of some triplets and the worse one of others. It stands in the
    order twice, as the worse by S (the first m of 2m) and as the better by S − g (the last m).
    """
    n, m = similarity.shape
    keys = torch.cat([similarity, similarity - gap], 1)
    twice = torch.cat([selected, selected], 1)
    as_better = (torch.arange(2 * m, device=keys.device) >= m).expand(n, -1)
    order = ascending(keys, as_better, twice)
    column, as_better, counts = order % m, order >= m, twice.gather(1, order)
    level = torch.where(selected, level, 0).gather(1, column)
    weight, lower = torch.zeros_like(level[:, :m]), torch.zeros_like(level[:, :m])
    active = weight.new_zeros(n)
    for bit in reversed(range(_bits(level, m))):
        # Stably sorted by the bits above: groups are runs, each still in the order of the keys.
        position = sorted_columns((level >> (bit + 1)) << COLUMN_BITS | columns_of(level))
        group = (level >> (bit + 1)).gather(1, position)
        has_bit = (level >> bit & 1).bool().gather(1, position)
        counted, better = counts.gather(1, position), as_better.gather(1, position)
        better, worse = counted & better & has_bit, counted & ~(better | has_bit)
        better_before, _ = _in_group(better, group)
        worse_before, worse_in_all = _in_group(worse, group)
        # A better one's active triplets are with the worse ones behind it in its group, a worse
        # one's with the better ones in front.
        worse_behind = better * (worse_in_all - worse_before)
        weight.scatter_add_(1, column.gather(1, position), worse * better_before - worse_behind)
        lower.scatter_add_(1, column.gather(1, position), better * worse_in_all)
        active = active + worse_behind.sum(1)
    return weight.to(similarity.dtype), active, lower.sum(1), (lower > 0).sum(1)


def _in_group(flags: Tensor, group: Tensor) -> tuple[Tensor, Tensor]:
    """Flags of the own group up to each position, and in all of it; a group is a run."""
    total = torch.zeros_like(group).scatter_add_(1, group, flags.long())
    before_next = total.cumsum(1).gather(1, group)
    total = total.gather(1, group)
    return flags.cumsum(1) - (before_next - total), total


def _bits(level: Tensor, levels: int) -> int:
    largest = int(level.max()) if eager_on_cpu(level) and level.numel() else levels - 1
    return largest.bit_length()
