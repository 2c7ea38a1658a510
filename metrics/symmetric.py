"""The best references of rows among themselves: each product is computed once, for two rows."""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metrics.backends import full_precision, say_once

LONGEST_LIST = 16
_MOST_ROWS = 1 << 18
_MOST_THREADS = 4
_BLOCK = 1024
_GROUP = 8
_COLUMN_BITS = 21
_ROW_SHIFT = _COLUMN_BITS + 32


def symmetric_pays(gallery: Float[Tensor, "m d"], k: int) -> bool:
    """Whether `largest_among` is the faster way: on a CPU of few threads, for short lists."""
    few = k <= LONGEST_LIST and len(gallery) <= _MOST_ROWS
    return few and gallery.device.type == "cpu" and torch.get_num_threads() <= _MOST_THREADS


def swapped(points: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Rows (v, h, 1) as (v, 1, h): their product with other rows is v·v' + h + h'."""
    return torch.cat([points[:, :-2], points[:, -1:], points[:, -2:-1]], 1)


def largest_among(
    points: Float[Tensor, "m d"], k: int
) -> Iterator[tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]]:
    """The k largest of each row of S_ij = v_i·v_j + h_i + h_j.

    A tile of S serves its rows and, transposed, its columns. Of either it keeps what is not below
    the k-th best so far, which is looked for among the maxima of groups of 8 before single
    elements. So half the products of a search are made, and nothing is kept but 64 bits for each
    candidate: a few k of them a row.

    Args:
        points: Rows (v, h, 1).
        k: At most the number of rows, and `LONGEST_LIST`.

    Yields:
        Scores in descending order and their columns, of 1,024 rows after the other.
    """
    say_once("exact search among the rows themselves on the CPU: in torch, half the products")
    starts = range(0, len(points), _BLOCK)
    lists = [_Lists(len(points[start : start + _BLOCK]), k) for start in starts]
    buffer = torch.empty(_BLOCK * _BLOCK)
    for i, own in enumerate(lists):
        rows = swapped(points[starts[i] : starts[i] + _BLOCK])
        for j in range(i, len(lists)):
            columns = points[starts[j] : starts[j] + _BLOCK]
            tile = buffer[: len(rows) * len(columns)].view(len(rows), len(columns))
            with full_precision():
                torch.mm(rows, columns.T, out=tile)
            own.take_columns(tile, starts[j])
            if j > i:
                lists[j].take_rows(tile, starts[i])
        yield own.finish()


class _Lists:
    """The k largest so far of a block of rows, as sortable integers: row, score, column."""

    def __init__(self, rows: int, k: int) -> None:
        self.rows = rows
        self.k = k
        self.least: Tensor | None = None
        self.candidates: list[Int[Tensor, " c"]] = []
        self.tiles = 0

    def take_columns(self, tile: Float[Tensor, "n m"], first: int) -> None:
        """Look at a tile whose rows are these; its columns start at `first`."""
        if tile.shape[1] % _GROUP:
            tile = F.pad(tile, (0, -tile.shape[1] % _GROUP), value=-torch.inf)
        groups = tile.view(len(tile), _GROUP, -1)
        largest = groups.amax(1)
        place = _where(largest >= self._least(largest))
        row, group = place // largest.shape[1], place % largest.shape[1]
        self._add(groups[row, :, group], row, first + group, largest.shape[1])

    def take_rows(self, tile: Float[Tensor, "m n"], first: int) -> None:
        """Look at a tile whose columns are these; its rows start at `first`."""
        if len(tile) % _GROUP:
            tile = F.pad(tile, (0, 0, 0, -len(tile) % _GROUP), value=-torch.inf)
        groups = tile.view(-1, _GROUP, tile.shape[1])
        largest = groups.amax(1)
        place = _where(largest >= self._least(largest.T).T)
        group, row = place // self.rows, place % self.rows
        self._add(groups[group, :, row], row, first + _GROUP * group, 1)

    def finish(self) -> tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]:
        """Scores and columns, best first."""
        keys, self.candidates = self._settle(), []
        return _score(keys), keys & ((1 << _COLUMN_BITS) - 1)

    def _least(self, largest: Float[Tensor, "n g"]) -> Float[Tensor, "n 1"]:
        """The k-th best so far; at first that of the groups' maxima, which is no better."""
        if self.least is None:
            enough = largest.shape[1] >= self.k
            least = largest.topk(self.k if enough else 1).values[:, -1:]
            self.least = least if enough else torch.full_like(least, -torch.inf)
        return self.least

    def _add(
        self,
        score: Float[Tensor, "h g"],
        row: Int[Tensor, " h"],
        first: Int[Tensor, " h"],
        step: int,
    ) -> None:
        """Keep what is good enough of groups whose members are `step` columns apart."""
        assert self.least is not None
        place = _where(score >= self.least[row])
        group, member = place // _GROUP, place % _GROUP
        column = first[group] + step * member
        self.candidates.append(_key(row[group], score.flatten()[place], column))
        self.tiles += 1
        # After 2, 4, 8, ... tiles: the more were seen, the less does the k-th best still rise.
        if self.tiles > 1 and self.tiles.bit_count() == 1:
            self.least = _score(self._settle()[:, -1:])

    def _settle(self) -> Int[Tensor, "n k"]:
        keys = torch.cat(self.candidates)
        keys.numpy().sort()
        row = keys >> _ROW_SHIFT
        counts = torch.bincount(row, minlength=self.rows)
        place = torch.arange(len(keys)) - (counts.cumsum(0) - counts)[row]
        self.candidates = [keys[place < self.k]]
        return self.candidates[0].view(self.rows, self.k)


def _where(mask: Bool[Tensor, "a b"]) -> Int[Tensor, " c"]:
    """Places of True in the flattened mask; NumPy finds them seven times faster than torch."""
    return torch.from_numpy(np.flatnonzero(mask.numpy()))


def _key(
    row: Int[Tensor, " c"], score: Float[Tensor, " c"], column: Int[Tensor, " c"]
) -> Int[Tensor, " c"]:
    """Integers that ascend by row, within it by falling score, then by column."""
    bits = score.view(torch.int32)
    ascending = (bits >> 31).bitwise_and_(0x7FFFFFFF).bitwise_xor_(bits).long()
    falling = ascending.neg_().add_((1 << 31) - 1)
    return (row << _ROW_SHIFT).bitwise_or_(falling << _COLUMN_BITS).bitwise_or_(column)


def _score(keys: Int[Tensor, "n k"]) -> Float[Tensor, "n k"]:
    falling = (keys >> _COLUMN_BITS).bitwise_and_((1 << 32) - 1)
    ascending = falling.neg_().add_((1 << 31) - 1).int()
    bits = (ascending >> 31).bitwise_and_(0x7FFFFFFF).bitwise_xor_(ascending)
    return bits.view(torch.float32)
