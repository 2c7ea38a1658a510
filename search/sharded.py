"""Exact nearest neighbours in a gallery that is spread over ranks."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ranklight.search.exact import ExactSearch, squared_distance
from ranklight.search.shards import Block, Shards

Asked = tuple[Float[Tensor, "n d"], int, Int[Tensor, "n"] | None]
"""Queries, how many neighbours each, and the queries' own places in the gallery, if any."""


class Search(Protocol):
    """A gallery that was prepared for search, as `ExactSearch` is."""

    gallery: Float[Tensor, "m d"]

    def nearest(
        self, queries: Float[Tensor, "n d"], k: int, own: Int[Tensor, "n"] | None = None
    ) -> Int[Tensor, "n k"]:
        """Rows of the k nearest, nearest first, without each query's own; −1 past the end."""


Prepare = Callable[[Tensor, int], Search]
"""Makes a search of a gallery and the largest k that will be asked for."""


class ShardedSearch:
    """`ExactSearch` where each rank holds a share of the gallery: the same lists, to the bit.

    Every rank searches its own rows. Blocks of queries go from rank to rank with the best list so
    far, into which each rank merges what it found, by float64 distance and then by place, which is
    the order of `ExactSearch`. A rank holds its share, prepared, and two blocks. A round sends
    from each rank a block of n·(4·d + 16·k + 8) bytes, as often as there are ranks.

    Args:
        gallery: This rank's rows, none or more, in the order of their places.
        shards: Which rows of the gallery they are.
        most: The largest k that any rank will ask for.
        prepare: What searches a share; `ExactSearch` by default.
    """

    def __init__(
        self,
        gallery: Float[Tensor, "m d"],
        shards: Shards,
        most: int,
        prepare: Prepare = ExactSearch,
    ) -> None:
        self.shards = shards
        self.search = prepare(gallery, most) if len(gallery) else None

    def lists(self, asked: Iterable[Asked]) -> Iterator[Int[Tensor, "n k"]]:
        """Places of the nearest rows for each block of queries; −1 past the end of the gallery.

        Collective: every rank iterates to the end, also one that asks nothing.
        """
        if self.shards.ranks == 1:
            assert self.search is not None
            for queries, k, own in asked:
                yield self.search.nearest(queries, k, own)
        else:
            blocks = (empty_lists(*question) for question in asked)
            for *_, found in self.shards.go_round(blocks, self.visit):
                yield found

    def visit(self, block: Block) -> Block:
        """Merge this rank's neighbours into a block of `empty_lists`."""
        queries, own, distance, found = block
        if self.search is None:
            return block
        k = found.shape[1]
        here = self.search.nearest(queries, k, self.shards.local(own))
        row, column = (here >= 0).nonzero(as_tuple=True)
        new = torch.full_like(distance, torch.inf)
        rows = here[row, column]
        new[row, column] = squared_distance(queries, row, self.search.gallery, rows)
        place = self.shards.own.to(here.device)[here.clamp(min=0)].masked_fill(here < 0, -1)
        distance, found = torch.cat([distance, new], 1), torch.cat([found, place], 1)
        by_place = found.argsort(dim=1)
        order = by_place.gather(1, distance.gather(1, by_place).argsort(dim=1, stable=True))[:, :k]
        return queries, own, distance.gather(1, order), found.gather(1, order)


def empty_lists(queries: Float[Tensor, "n d"], k: int, own: Int[Tensor, "n"] | None) -> Block:
    """Queries, their own places or −1, and lists of k neighbours that hold none yet."""
    size = (len(queries), k)
    distance = torch.full(size, torch.inf, dtype=torch.float64, device=queries.device)
    found = torch.full(size, -1, dtype=torch.int64, device=queries.device)
    return queries, torch.full_like(found[:, 0], -1) if own is None else own, distance, found
