"""Rows that other ranks hold, and distances to them, a block at a time."""

from collections.abc import Iterable, Iterator

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from ranklight.search.order import distances_of
from ranklight.search.shards import Block, Shards


def rows_at(
    tables: tuple[Shaped[Tensor, "n ..."], ...],
    shards: Shards,
    blocks: Iterable[Int[Tensor, "b k"]],
) -> Iterator[Block]:
    """Of each block of positions among the rows of all ranks, the rows; zeros where one is −1.

    Collective: blocks go from rank to rank and come home full. Ranks may have different numbers of
    blocks, but all of them iterate to the end.

    Args:
        tables: What this rank holds of one or several tables of the same rows.
        shards: Which rows these are.
        blocks: Positions that this rank asks for.

    Yields:
        Of each table the rows of a block, Shaped[Tensor, "b k ..."].
    """

    def fill(block: Block) -> Block:
        positions, *taken = block
        local = shards.global_to_local(positions.flatten()).view(positions.shape)
        here = local >= 0
        for rows, table in zip(taken, tables, strict=True):
            rows[here] = table[local[here]]
        return block

    empty = (
        (block, *(table.new_zeros(*block.shape, *table.shape[1:]) for table in tables))
        for block in blocks
    )
    for _, *taken in shards.ring_pass(empty, fill):
        yield tuple(taken)


def distances_to(
    queries: Float[Tensor, "n d"],
    gallery: Float[Tensor, "m d"],
    shards: Shards,
    blocks: Iterable[tuple[slice, Int[Tensor, "b k"]]],
) -> Iterator[Float[Tensor, "b k"]]:
    """`squared_distance` of some queries to positions in the gallery, infinite where one is −1.

    Collective, as `rows_at` is; it sends queries, not what they are compared with.
    """

    def fill(block: Block) -> Block:
        query, positions, distance = block
        local = shards.global_to_local(positions.flatten()).view(positions.shape)
        distance = torch.where(local >= 0, distances_of(query, gallery, local), distance)
        return query, positions, distance

    start = ((queries[rows], found, _infinite(found)) for rows, found in blocks)
    for _, _, distance in shards.ring_pass(start, fill):
        yield distance


def _infinite(found: Int[Tensor, "b k"]) -> Float[Tensor, "b k"]:
    return torch.full(found.shape, torch.inf, dtype=torch.float64, device=found.device)
