"""For each row the rows that it and they find among their nearest, and how near they are."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ranklight.kernels.chunks import chunks
from ranklight.search.after.rows_of_ranks import distances_to, rows_at
from ranklight.search.embedded import Embedded
from ranklight.search.order import folded_sum
from ranklight.search.shards import Shards

_NONE = torch.iinfo(torch.int64).max
_ELEMENTS = 1 << 20


class Sets(NamedTuple):
    """Sets of rows, each member with a weight; the weights of a set sum to 1.

    Args:
        members: Positions, ascending, and past the end of a set the largest integer.
        weights: 0 past the end.
    """

    members: Int[Tensor, "n w"]
    weights: Float[Tensor, "n w"]


def reciprocal_sets(pool: Embedded, near: Int[Tensor, "n k"], k1: int) -> Sets:
    """R*(p, k1) of each of this rank's rows, weighted by exp(−d) over its sum; collective.

    Args:
        pool: Rows.
        near: Of each of this rank's rows itself, then its k1 nearest; −1 past the end.
        k1: k₁.
    """
    everyone, shards = pool.shards.all_gather(near), pool.shards
    half = round(k1 / 2) + 1
    own = shards.own.to(near.device)
    mutual = torch.cat(
        [
            torch.zeros(0, min(half, near.shape[1]), dtype=torch.bool, device=near.device),
            *(_mutual(everyone, own[part], half) for part in _parts(near, near.shape[1] ** 2)),
        ]
    )
    mutual = shards.all_gather(mutual.byte()).bool()
    parts = _parts(near, near.shape[1] ** 2 * half)
    sets = [_expanded(everyone, mutual, own[part]) for part in parts]
    members = _joined(sets, shards, near)
    parts = _parts(near, members.shape[1] * pool.embeddings.shape[1])
    positions = members.masked_fill(members == _NONE, -1)
    blocks = ((part, positions[part]) for part in parts)
    weights = torch.zeros(members.shape, dtype=torch.float64, device=members.device)
    # Each is a member of its own set at a distance of 0, so that no sum is 0.
    rows = pool.embeddings
    for part, distance in zip(parts, distances_to(rows, rows, shards, blocks), strict=True):
        weight = (-distance / 2).exp()
        weights[part] = weight / folded_sum(weight)[:, None]
    return Sets(members, weights)


def averaged_sets(sets: Sets, near: Int[Tensor, "n k"], shards: Shards) -> Sets:
    """The mean of the sets of the first rows of each list, itself among them; collective."""
    parts = _parts(near, near.shape[1] * sets.members.shape[1])
    taken = rows_at(sets, shards, (near[part] for part in parts))
    merged = []
    for part, (members, weights) in zip(parts, taken, strict=True):
        absent = (near[part] < 0)[:, :, None]
        members = members.masked_fill(absent, _NONE).flatten(1)
        weights = weights / (near[part] >= 0).sum(1)[:, None, None]
        merged.append(_summed(members, weights.flatten(1), near.shape[1]))
    members = _joined([of.members for of in merged], shards, near)
    weights = torch.zeros(members.shape, dtype=torch.float64, device=members.device)
    for part, of in zip(parts, merged, strict=True):
        weights[part, : of.weights.shape[1]] = of.weights
    return Sets(members, weights)


def jaccard_distance(one: Sets, others: Sets, count: int) -> Float[Tensor, "b k"]:
    """1 − Σ min(v, w) / Σ max(v, w) of each set to `count` others, which stand beside each other.

    As weights sum to 1, Σ max = 2 − Σ min.
    """
    place = torch.searchsorted(one.members, others.members.contiguous()).clamp(
        max=one.members.shape[1] - 1
    )
    shared = (one.members.gather(1, place) == others.members) & (others.members < _NONE)
    least = torch.minimum(one.weights.gather(1, place), others.weights).masked_fill(~shared, 0)
    overlap = folded_sum(least.view(len(least), count, -1))
    return 1 - overlap / (2 - overlap)


def _mutual(near: Int[Tensor, "m k"], rows: Int[Tensor, "b"], width: int) -> Bool[Tensor, "b w"]:
    """Which of the first of a row's list have the row among the first of theirs."""
    found = near[rows, :width]
    theirs = near[found.clamp(min=0), :width]
    return (theirs == rows[:, None, None]).any(2) & (found >= 0)


def _expanded(
    near: Int[Tensor, "m k"], mutual: Bool[Tensor, "m h"], rows: Int[Tensor, "b"]
) -> Int[Tensor, "b w"]:
    """R(p, k1), with R(q, k1/2) of each q in it of which at least two thirds are in R(p, k1)."""
    found, kept = near[rows], _mutual(near, rows, near.shape[1])
    own = found.masked_fill(~kept, -1)
    theirs = near[own.clamp(min=0), : mutual.shape[1]]
    there = mutual[own.clamp(min=0)] & kept[:, :, None]
    shared = there & (theirs[..., None] == own[:, None, None, :]).any(3)
    similar = 3 * shared.sum(2) >= 2 * there.sum(2)
    own = own.masked_fill(~kept, _NONE)
    theirs = theirs.masked_fill(~(there & similar[:, :, None]), _NONE)
    return _each_once(torch.cat([own, theirs.flatten(1)], 1))


def _each_once(members: Int[Tensor, "b w"]) -> Int[Tensor, "b v"]:
    """Sets from lists, as narrow as the largest allows."""
    members = members.sort(dim=1).values
    members[:, 1:][members[:, 1:] == members[:, :-1]] = _NONE
    members = members.sort(dim=1).values
    return members[:, : max(1, int((members < _NONE).sum(1).max()))]


def _summed(members: Int[Tensor, "b w"], weights: Float[Tensor, "b w"], copies: int) -> Sets:
    """Sets from lists in which a member is there up to so many times; its weights are added."""
    members, order = members.sort(dim=1, stable=True)
    weights = weights.gather(1, order)
    total = weights.clone()
    for step in range(1, min(copies, members.shape[1])):
        same = members[:, step:] == members[:, :-step]
        total[:, :-step] += weights[:, step:].masked_fill(~same, 0)
    again = torch.zeros_like(members, dtype=torch.bool)
    again[:, 1:] = members[:, 1:] == members[:, :-1]
    members, order = members.masked_fill(again, _NONE).sort(dim=1, stable=True)
    total = total.gather(1, order).masked_fill(members == _NONE, 0)
    width = max(1, int((members < _NONE).sum(1).max()))
    return Sets(members[:, :width], total[:, :width])


def _joined(
    parts: list[Int[Tensor, "_ _"]], shards: Shards, near: Int[Tensor, "n k"]
) -> Int[Tensor, "n w"]:
    """Parts of different widths in one table, as wide as the widest of all ranks."""
    width = shards.max(max((part.shape[1] for part in parts), default=1))
    joined = torch.full((len(near), width), _NONE, device=near.device)
    start = 0
    for part in parts:
        joined[start : start + len(part), : part.shape[1]] = part
        start += len(part)
    return joined


def _parts(rows: Tensor, elements_per_row: int) -> list[slice]:
    return list(chunks(len(rows), max(1, _ELEMENTS // max(1, elements_per_row))))
