"""Rows of one data set of which every rank holds a share."""

from collections.abc import Callable, Iterable, Iterator

import torch
import torch.distributed as dist
from jaxtyping import Int, Shaped
from torch import Tensor

from ranklight.kernels.checks import check_integers, check_values_are_there, check_within
from ranklight.kernels.distributed import all_gather_object, in_group

Block = tuple[Tensor, ...]
Kind = tuple[torch.Size, torch.dtype]


class Shards:
    """At which positions among the rows of all ranks this rank's rows stand.

    Its methods are collective: every rank calls them, in the same order. With one rank they
    communicate nothing.

        >>> shards = Shards.unsharded(3)
        >>> shards.take(torch.tensor([10, 20, 30]), torch.tensor([2, 0]))
        tensor([30, 10])

    Args:
        positions: Of every rank, those of its rows among all, ascending; each on one rank.
        rank: Which of them this rank is.

    Raises:
        TypeError: Positions are no integers.
        ValueError: There is no such rank, positions are not ascending, or they are not those of a
            data set: each of 0..size − 1 on one rank.
    """

    def __init__(self, positions: list[Int[Tensor, "_"]], rank: int = 0) -> None:
        self.positions = _checked(positions, rank)
        self.rank = rank
        self.ranks = len(positions)
        self.size = sum(len(part) for part in positions)

    @classmethod
    def unsharded(cls, size: int) -> "Shards":
        """All rows are here, whatever group of processes there may be."""
        return cls([torch.arange(size)])

    @property
    def own(self) -> Int[Tensor, "n"]:
        """The positions of this rank's rows among all."""
        return self.positions[self.rank]

    def all_gather(self, rows: Shaped[Tensor, "n ..."]) -> Shaped[Tensor, "size ..."]:
        """The rows of all ranks in their order, on every rank: for labels and scores."""
        self._check_own(rows)
        if self.ranks == 1:
            return rows
        parts = _gather(rows, [len(part) for part in self.positions])
        out = rows.new_empty(self.size, *rows.shape[1:])
        for position, part in zip(self.positions, parts, strict=True):
            out[position.to(rows.device)] = part
        return out

    def gather_to_rank0(self, rows: Shaped[Tensor, "n ..."]) -> Shaped[Tensor, "size ..."] | None:
        """The rows of all ranks in their order, on rank 0 alone; None on the others."""
        self._check_own(rows)
        if self.rank > 0:
            if len(rows):
                dist.send(rows.contiguous(), 0)
            return None
        out = rows.new_empty(self.size, *rows.shape[1:])
        for rank, position in enumerate(self.positions):
            part = rows if rank == 0 else rows.new_empty(len(position), *rows.shape[1:])
            if rank > 0 and len(position):
                dist.recv(part, rank)
            out[position.to(rows.device)] = part
        return out

    def take(
        self, rows: Shaped[Tensor, "n ..."], positions: Int[Tensor, "c"]
    ) -> Shaped[Tensor, "c ..."]:
        """The rows at these positions, on every rank."""
        self._check_own(rows)
        check_values_are_there(positions=positions)
        check_integers(positions=positions)
        check_within(positions, self.size, "positions of rows")
        local = self.global_to_local(positions).to(rows.device)
        taken = rows.new_zeros(len(positions), *rows.shape[1:])
        taken[local >= 0] = rows[local[local >= 0]]
        return self.all_reduce(taken)

    def global_to_local(self, positions: Int[Tensor, "c"]) -> Int[Tensor, "c"]:
        """Which of this rank's rows is at each position, −1 where another rank's is."""
        positions = positions.long()
        own = self.own.to(positions.device)
        if len(own) == 0:
            return torch.full_like(positions, -1)
        row = torch.searchsorted(own, positions.contiguous()).clamp(max=len(own) - 1)
        return torch.where(own[row] == positions, row, -1)

    def all_reduce(self, values: Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
        """The sum over ranks."""
        if self.ranks > 1:
            dist.all_reduce(values)
        return values

    def max(self, value: int) -> int:
        """The largest of the ranks' values."""
        if self.ranks == 1:
            return value
        values = torch.tensor([value], device=self.own.device)
        dist.all_reduce(values, op=dist.ReduceOp.MAX)
        return int(values)

    def ring_pass(
        self, blocks: Iterable[Block], visit: Callable[[Block], Block]
    ) -> Iterator[Block]:
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

    def _check_own(self, rows: Tensor) -> None:
        check_values_are_there(rows=rows)
        count = len(rows) if rows.ndim else "a number in place"
        if count != len(self.own):
            raise ValueError(f"this rank has {len(self.own)} rows; got {count} of them")

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


def shard(ids: Int[Tensor, "n"]) -> tuple[Int[Tensor, "k"], Shards]:
    """Order the rows of all ranks by the id of their image, each image once.

    Collective if there is a group of processes.

        >>> rows, shards = shard(torch.tensor([30, 10, 30]))
        >>> rows, shards.size
        (tensor([1, 0]), 2)

    Args:
        ids: The image of each of this rank's rows, in any order; an image that several rows
            show belongs to the first of them on the first rank that has it.

    Returns:
        The rows that this rank keeps, by ascending id, and their positions among all.

    Raises:
        TypeError: Ids are no integers.
        ValueError: They are not one a row.
    """
    check_values_are_there(ids=ids)
    check_integers(ids=ids)
    ids = ids.long()
    rank, ranks = 0, [ids]
    if in_group():
        rank = dist.get_rank()
        count = torch.tensor([len(ids)], device=ids.device)
        counts = _gather(count, [1] * dist.get_world_size())
        ranks = _gather(ids, [int(count) for count in counts])
    images = torch.cat(ranks)
    holder = torch.cat([torch.full_like(part, r) for r, part in enumerate(ranks)])
    order = images.argsort(stable=True)
    first = torch.ones_like(order, dtype=torch.bool)
    first[1:] = images[order[1:]] != images[order[:-1]]
    order = order[first]
    positions = [(holder[order] == r).nonzero().squeeze(1) for r in range(len(ranks))]
    rows = order[positions[rank]] - sum(len(part) for part in ranks[:rank])
    return rows, Shards(positions, rank)


def _checked(positions: list[Tensor], rank: int) -> list[Tensor]:
    for part in positions:
        check_values_are_there(positions=part)
        check_integers(positions=part)
    positions = [part.long() for part in positions]
    if not 0 <= rank < len(positions):
        raise ValueError(f"rank must be 0..{len(positions) - 1}; got {rank}")
    size = sum(len(part) for part in positions)
    held = torch.zeros(size, dtype=torch.bool, device=positions[0].device)
    for part in positions:
        if len(part) and not (part[0] >= 0 and part[-1] < size and (part.diff() > 0).all()):
            raise ValueError(f"positions of a rank's rows must ascend within 0..{size - 1}")
        held[part] = True
    if not held.all():
        raise ValueError(f"each of {size} rows must be at one position, on one rank")
    return positions


def _gather(rows: Tensor, counts: list[int]) -> list[Tensor]:
    """The rows of every rank, of which `counts` are known."""
    padded = rows.new_zeros(max(counts), *rows.shape[1:])
    padded[: len(rows)] = rows
    parts = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(parts, padded)
    return [part[:count] for part, count in zip(parts, counts, strict=True)]
