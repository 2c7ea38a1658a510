"""Rows of one data set of which every rank holds a share."""

from collections.abc import Callable, Iterable, Iterator

import torch
import torch.distributed as dist
from jaxtyping import Int, Shaped
from torch import Tensor

from ranklight.kernels.distributed import all_gather_object, in_group

Block = tuple[Tensor, ...]
Kind = tuple[torch.Size, torch.dtype]


class Shards:
    """Where this rank's rows stand among the rows of all ranks.

    Its methods are collective: every rank calls them, in the same order. With one rank they
    communicate nothing.

    Args:
        places: Of every rank, where its rows stand among all, ascending; each place on one rank.
        rank: Which of them this rank is.
    """

    def __init__(self, places: list[Int[Tensor, "n"]], rank: int = 0) -> None:
        self.places = places
        self.rank = rank
        self.ranks = len(places)
        self.size = sum(len(part) for part in places)

    @classmethod
    def alone(cls, size: int) -> "Shards":
        """All rows are here, whatever group of processes there may be."""
        return cls([torch.arange(size)])

    @property
    def own(self) -> Int[Tensor, "n"]:
        """Where this rank's rows stand among all."""
        return self.places[self.rank]

    def whole(self, rows: Shaped[Tensor, "n ..."]) -> Shaped[Tensor, "size ..."]:
        """The rows of all ranks in their order, on every rank: for labels and scores."""
        if self.ranks == 1:
            return rows
        parts = _gather(rows, [len(part) for part in self.places])
        out = rows.new_empty(self.size, *rows.shape[1:])
        for place, part in zip(self.places, parts, strict=True):
            out[place.to(rows.device)] = part
        return out

    def on_first(self, rows: Shaped[Tensor, "n ..."]) -> Shaped[Tensor, "size ..."] | None:
        """The rows of all ranks in their order, on rank 0 alone; None on the others."""
        if self.rank > 0:
            if len(rows):
                dist.send(rows.contiguous(), 0)
            return None
        out = rows.new_empty(self.size, *rows.shape[1:])
        for rank, place in enumerate(self.places):
            part = rows if rank == 0 else rows.new_empty(len(place), *rows.shape[1:])
            if rank > 0 and len(place):
                dist.recv(part, rank)
            out[place.to(rows.device)] = part
        return out

    def pick(
        self, rows: Shaped[Tensor, "n ..."], places: Int[Tensor, "c"]
    ) -> Shaped[Tensor, "c ..."]:
        """The rows that stand at these places, on every rank."""
        here = self.local(places).to(rows.device)
        picked = rows.new_zeros(len(places), *rows.shape[1:])
        picked[here >= 0] = rows[here[here >= 0]]
        return self.total(picked)

    def local(self, places: Int[Tensor, "c"]) -> Int[Tensor, "c"]:
        """Which of this rank's rows stands at each place, −1 where another rank's does."""
        own = self.own.to(places.device)
        if len(own) == 0:
            return torch.full_like(places, -1)
        row = torch.searchsorted(own, places.contiguous()).clamp(max=len(own) - 1)
        return torch.where(own[row] == places, row, -1)

    def total(self, values: Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
        """The sum over ranks."""
        if self.ranks > 1:
            dist.all_reduce(values)
        return values

    def largest(self, value: int) -> int:
        """The largest of the ranks' values."""
        if self.ranks == 1:
            return value
        values = torch.tensor([value], device=self.own.device)
        dist.all_reduce(values, op=dist.ReduceOp.MAX)
        return int(values)

    def go_round(self, blocks: Iterable[Block], visit: Callable[[Block], Block]) -> Iterator[Block]:
        """Send every block from rank to rank until each has visited all; yield it back home.

        A rank holds one block at a time beside the one that arrives, whatever the number of ranks.
        Ranks may have different numbers of blocks, or none; all of them must iterate to the end.

        Args:
            blocks: This rank's; tensors of any shapes.
            visit: What is done with a block of any rank; keeps shapes and types.
        """
        waiting = iter(blocks)
        if self.ranks == 1:
            yield from map(visit, waiting)
            return
        while True:
            block = next(waiting, None)
            kinds = all_gather_object([(tensor.shape, tensor.dtype) for tensor in block or ()])
            if not any(kinds):
                return
            for step in range(self.ranks):
                if block is not None:
                    block = visit(block)
                block = self._pass_on(block, kinds[(self.rank - 1 - step) % self.ranks])
            if block is not None:
                yield block

    def _pass_on(self, block: Block | None, arriving: list[Kind]) -> Block | None:
        """Send a block to the next rank; receive one of these kinds from the rank before."""
        after, before = (self.rank + 1) % self.ranks, (self.rank - 1) % self.ranks
        device = self.own.device
        new = tuple(torch.empty(shape, dtype=kind, device=device) for shape, kind in arriving)
        sent = [dist.P2POp(dist.isend, tensor.contiguous(), after) for tensor in block or ()]
        due = [dist.P2POp(dist.irecv, tensor, before) for tensor in new]
        if sent or due:
            for work in dist.batch_isend_irecv(sent + due):
                work.wait()
        return new or None


def shard(index: Int[Tensor, "n"]) -> tuple[Int[Tensor, "k"], Shards]:
    """Order the rows of all ranks by the number of their image, each image once.

    Collective if there is a group of processes.

    Args:
        index: The image of each of this rank's rows, in any order; an image that several rows
            show belongs to the first of them on the first rank that has it.

    Returns:
        The rows that this rank keeps, by ascending image, and where they stand among all.
    """
    rank, ranks = 0, [index]
    if in_group():
        rank = dist.get_rank()
        count = torch.tensor([len(index)], device=index.device)
        counts = _gather(count, [1] * dist.get_world_size())
        ranks = _gather(index, [int(count) for count in counts])
    images = torch.cat(ranks)
    holder = torch.cat([torch.full_like(part, r) for r, part in enumerate(ranks)])
    order = images.argsort(stable=True)
    first = torch.ones_like(order, dtype=torch.bool)
    first[1:] = images[order[1:]] != images[order[:-1]]
    order = order[first]
    places = [(holder[order] == r).nonzero().squeeze(1) for r in range(len(ranks))]
    kept = order[places[rank]] - sum(len(part) for part in ranks[:rank])
    return kept, Shards(places, rank)


def check_both_shared(queries: Shards | None, gallery: Shards | None) -> None:
    """Raise a ValueError if ranks share the queries and not the gallery, or the reverse."""
    if (queries is None) != (gallery is None):
        raise ValueError("shards and gallery_shards belong together: give both or neither")


def _gather(rows: Tensor, counts: list[int]) -> list[Tensor]:
    """The rows of every rank, of which `counts` are known."""
    padded = rows.new_zeros(max(counts), *rows.shape[1:])
    padded[: len(rows)] = rows
    parts = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(parts, padded)
    return [part[:count] for part, count in zip(parts, counts, strict=True)]
