"""The nearest gallery rows of each query, wherever queries and gallery lie and however many."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ranklight.kernels.checks import check_counts, check_integers
from ranklight.search.backends import TopKBackend
from ranklight.search.blocked import BlockedSearch
from ranklight.search.embedded import (
    Embedded,
    check_comparable,
    check_searchable,
    own_positions,
)
from ranklight.search.exact import ExactSearch
from ranklight.search.order import distances_of, empty_lists, merge_lists
from ranklight.search.shards import Block, Shards

_ROWS = 4096
_ELEMENTS = 1 << 19
_MORE_AT_ONCE = 8


@runtime_checkable
class Search(Protocol):
    """A gallery that was prepared for search, as `ExactSearch` is."""

    gallery: Float[Tensor, "m d"]

    def nearest(
        self, queries: Float[Tensor, "n d"], k: int, own: Int[Tensor, "n"] | None = None
    ) -> Int[Tensor, "n k"]:
        """Rows of the k nearest, nearest first, without each query's own; −1 past the end."""


Prepare = Callable[[Tensor, int], Search]
"""Makes a search of a gallery and the largest k that will be asked for."""

Lists = Iterator[tuple[Int[Tensor, "b"], Int[Tensor, "b k"]]]
"""Blocks of rows of the queries, and the list of each."""


@runtime_checkable
class Reordered(Protocol):
    """A search that has lists of its own, as re-ranking has."""

    def lists(self, queries: Embedded, gallery: Embedded | None, counts: Int[Tensor, "n"]) -> Lists:
        """What `neighbour_lists` is to give; a longer list begins with the shorter one."""


AnySearch = Prepare | Reordered


def neighbour_lists(
    queries: Embedded,
    gallery: Embedded | None,
    counts: Int[Tensor, "n"],
    search: AnySearch = ExactSearch,
) -> Lists:
    """Lists of the nearest rows of the gallery, by the rules of `ExactSearch`, in blocks.

    Queries are searched in the order of their counts, in blocks whose lists stay within a few MiB
    and are as long as one of them needs: one long list does not make the others long. On several
    ranks each searches its share of the gallery, and blocks of queries go from rank to rank with
    the best lists so far: the lists of one process, to the bit. A rank holds its share, prepared,
    and two blocks. A round sends from each rank a block of n·(4·d + 16·k + 8) bytes, as often as
    there are ranks. Collective: every rank iterates to the end, also one that asks nothing.

        >>> rows = Embedded(torch.tensor([[0.0], [1.0], [5.0]]))
        >>> for query, found in neighbour_lists(rows, None, torch.tensor([2, 0, 1])):
        ...     print(query.tolist(), found.tolist())
        [2, 0] [[1, 0], [1, 2]]

    Args:
        queries: What to find neighbours of.
        gallery: Where to look, without each query itself where both have ids; if None among the
            queries, without each one itself.
        counts: How many neighbours of each query, 0 for none.
        search: Prepares the gallery: exact, of a gallery larger than memory a
            `search.BlockedSearch`, or a `search.ApproximateSearch`; or has lists of its own, as
            `search.after.KReciprocal` makes them.

    Yields:
        Rows of the queries, and positions among the rows of all ranks of what is nearest to them,
        nearest first; at least as many as asked for, −1 past the end of the gallery.

    Raises:
        TypeError: Counts are no integers.
        ValueError: There is not one count a query, or one is negative.
    """
    check_comparable(queries, gallery)
    check_integers(ids=queries.ids, counts=counts)
    counts = counts.long()
    if len(counts) != len(queries.ids) or (counts < 0).any():
        raise ValueError(
            f"{len(queries.ids)} queries need as many counts, each 0 or more; got {len(counts)}"
            f", the least {int(counts.min()) if len(counts) else None}"
        )
    if isinstance(search, Reordered):
        return search.lists(queries, gallery, counts)
    among = queries if gallery is None else gallery
    max_k = queries.shards.max(int(counts.max()) if len(counts) else 0)
    if max_k == 0:
        return iter(())
    searcher = search(among.embeddings, max_k) if len(among.embeddings) else None
    # All rows at once take half the products: in vain where few of them are asked for.
    alone, among_all = among.shards.ranks == 1, 2 * int((counts > 0).sum()) > len(counts)
    if alone and gallery is None and among_all and isinstance(searcher, ExactSearch):
        lists = searcher.all_nearest(max_k)
        if lists is not None:
            return _asked(lists, counts)
    own = own_positions(queries, gallery)
    if alone:
        return _here(queries, own, counts, searcher)
    return _over_ranks(queries, among.shards, own, counts, searcher)


def nearest(
    queries: Float[Tensor, "n d"],
    k: int,
    gallery: Float[Tensor, "m d"] | None = None,
    backend: TopKBackend | None = None,
) -> Int[Tensor, "n k"]:
    """Indices of the k nearest gallery rows of every query, by the rules of `ExactSearch`.

        >>> nearest(torch.tensor([[0.0], [1.0], [5.0]]), 2)
        tensor([[1, 2],
                [0, 2],
                [1, 0]])

    Args:
        queries: What to find neighbours of.
        k: How many; columns past the end of the gallery are −1.
        gallery: Where to look; among the queries themselves, without each one's own row, by
            default.
        backend: Who proposes neighbours; chosen by device by default.

    Raises:
        TypeError: Something is no tensor, or k no whole number.
        ValueError: A side is no matrix of floats, is empty or not finite, or k is below 1.
    """
    check_counts(k=k)
    asking = Embedded(queries)
    among = None if gallery is None else Embedded(gallery)
    check_searchable(asking, among)
    counts = torch.full((len(queries),), k, device=queries.device)
    nearest_k = counts.new_empty(len(queries), k)
    for row, found in neighbour_lists(asking, among, counts, partial(ExactSearch, backend=backend)):
        nearest_k[row] = found
    return nearest_k


def _asked(lists: Iterator[Int[Tensor, "b k"]], counts: Int[Tensor, "n"]) -> Lists:
    """Of lists of all rows, in their order, those that are asked for."""
    start = 0
    for found in lists:
        row = torch.arange(start, start + len(found))
        asked = counts[row] > 0
        yield row[asked], found[asked]
        start += len(found)


def _here(
    queries: Embedded, own: Int[Tensor, "n"], counts: Int[Tensor, "n"], searcher: Search | None
) -> Lists:
    assert searcher is not None, "the gallery has rows, and all of them are here"
    own_is_there = bool((own >= 0).any())
    for row, k in _blocks(counts, searcher):
        yield row, searcher.nearest(queries.embeddings[row], k, own[row] if own_is_there else None)


def _over_ranks(
    queries: Embedded,
    shards: Shards,
    own: Int[Tensor, "n"],
    counts: Int[Tensor, "n"],
    searcher: Search | None,
) -> Lists:
    """Each block visits every rank, which merges what it finds among its own rows."""

    def merge(block: Block) -> Block:
        query, itself, distance, found = block
        if searcher is None:
            return block
        here = searcher.nearest(query, found.shape[1], shards.global_to_local(itself))
        new = distances_of(query, searcher.gallery, here)
        position = shards.own.to(here.device)[here.clamp(min=0)].masked_fill(here < 0, -1)
        return query, itself, *merge_lists(distance, found, new, position)

    blocks = list(_blocks(counts, searcher))
    empty = (
        (queries.embeddings[row], own[row], *empty_lists(len(row), k, row.device))
        for row, k in blocks
    )
    for (*_, found), (row, _) in zip(shards.ring_pass(empty, merge), blocks, strict=True):
        yield row, found


def _blocks(
    counts: Int[Tensor, "n"], searcher: Search | None
) -> Iterator[tuple[Int[Tensor, "b"], int]]:
    """Rows by ascending count, in blocks whose lists stay small, and the largest of each block."""
    # it prepares the gallery again for every block
    times = _MORE_AT_ONCE if isinstance(searcher, BlockedSearch) else 1
    order = counts.argsort(stable=True)
    order = order[counts[order] > 0]
    ordered = counts[order].tolist()
    start = 0
    while start < len(ordered):
        # as many as the shortest list allows, then as few as the longest of those allows
        end = start + _rows_for(ordered[start], times)
        end = start + _rows_for(ordered[min(end, len(ordered)) - 1], times)
        yield order[start:end], ordered[min(end, len(ordered)) - 1]
        start = end


def _rows_for(k: int, times: int) -> int:
    """Queries to search together, so that their lists of k stay within a few MiB, or some more."""
    return max(1, min(times * _ROWS, times * _ELEMENTS // max(1, k)))
