"""The nearest rows of a gallery to its own rows: each product is computed once, for two rows."""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from ranklight.kernels.packing import rank_in_row, where_true
from ranklight.kernels.sortable_bits import from_sortable_bits, sortable_bits
from ranklight.search.backends import full_precision, log_once

MAX_K = 16
_MAX_ROWS = 1 << 18
_MAX_THREADS = 2
_BLOCK = 1024
_GROUP = 8
_MAX_CANDIDATES = 64

# A candidate is one int64, so that one integer sort orders rows, scores and columns at once:
#
#     bit 63      bits 53..62              bits 21..52               bits 0..20
#     sign, 0     row within its block     falling float32 score     column
#
# 21 bits hold every column: `_MAX_ROWS` and what pads the last tile to whole groups.
# 10 bits hold every row of a block.
_COLUMN_BITS = 21
_SCORE_BITS = 32
_ROW_SHIFT = _COLUMN_BITS + _SCORE_BITS
assert _MAX_ROWS + _GROUP <= 1 << _COLUMN_BITS
assert _BLOCK <= 1 << (63 - _ROW_SHIFT)


def symmetric_is_faster(gallery: Float[Tensor, "m d"], k: int) -> bool:
    """Whether `top_k_among` is the faster way: for short lists on one or two threads of a CPU.

    Two fifths of it are NumPy's, on one thread; FAISS uses all it is given. Of few rows most
    products are tiles on the diagonal, of which nothing is saved.
    """
    suits = k <= MAX_K and 2 * _BLOCK <= len(gallery) <= _MAX_ROWS
    return suits and gallery.device.type == "cpu" and torch.get_num_threads() <= _MAX_THREADS


def swap_last_two(points: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Rows (v, h, 1) as (v, 1, h): their product with other rows is v·v' + h + h'."""
    return torch.cat([points[:, :-2], points[:, -1:], points[:, -2:-1]], 1)


def symmetric_top_k(
    points: Float[Tensor, "m d"], k: int
) -> Iterator[tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]] | None:
    """`top_k_among` where it is the faster way, else None."""
    return top_k_among(points, k) if symmetric_is_faster(points, k) else None


def top_k_among(
    points: Float[Tensor, "m d"], k: int
) -> Iterator[tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]]:
    """The k largest of each row of S_ij = v_i·v_j + h_i + h_j.

    A tile of S serves its rows and, transposed, its columns. Of either it keeps what is not below
    the k-th best so far, which is looked for among the maxima of groups of 8 before single
    elements. So half the products of a search are made, and nothing is kept but 64 bits for each
    candidate: a few k of them a row. The tiles on the diagonal come first: where neighbours stand
    together, as in a gallery sorted by class, little is kept of the others.

    Args:
        points: Rows (v, h, 1).
        k: At most the number of rows, and `MAX_K`.

    Yields:
        Scores in descending order and their columns, of 1,024 rows after the other.
    """
    log_once("exact search among the rows themselves on the CPU: in torch, half the products")
    blocks = torch.split(points, _BLOCK)
    lists = [_Lists(len(block), k) for block in blocks]
    buffer = torch.empty(_BLOCK * _BLOCK)
    for i, own in enumerate(lists):
        own.add_columns(_product(swap_last_two(blocks[i]), blocks[i], buffer), i * _BLOCK)
    for i, own in enumerate(lists):
        rows = swap_last_two(blocks[i])
        for j in range(i + 1, len(lists)):
            tile = _product(rows, blocks[j], buffer)
            own.add_columns(tile, j * _BLOCK)
            lists[j].add_rows(tile, i * _BLOCK)
        yield own.top_k()


class _Lists:
    """The k largest so far of a block of rows, as sortable integers: row, score, column."""

    def __init__(self, rows: int, k: int) -> None:
        self.rows = rows
        self.k = k
        self.threshold = torch.empty(0)
        self.candidates: list[Int[Tensor, " c"]] = []
        self.tiles = 0

    def add_columns(self, tile: Float[Tensor, "n m"], first: int) -> None:
        """Look at a tile whose rows are these; its columns start at `first`."""
        if tile.shape[1] % _GROUP:
            tile = F.pad(tile, (0, -tile.shape[1] % _GROUP), value=-torch.inf)
        groups = tile.view(len(tile), _GROUP, -1)
        largest = groups.amax(1)
        if self.tiles == 0:
            # The k-th best of the groups' maxima is no better than that of all, so nothing of the
            # true list lies below it.
            self.threshold = _kth_largest(largest, self.k)
        row, group = _where_at_least(largest, self.threshold[:, None])
        self._add(groups[row, :, group], row, first + group, largest.shape[1])

    def add_rows(self, tile: Float[Tensor, "m n"], first: int) -> None:
        """Look at a tile whose columns are these; its rows start at `first`."""
        if len(tile) % _GROUP:
            tile = F.pad(tile, (0, 0, 0, -len(tile) % _GROUP), value=-torch.inf)
        groups = tile.view(-1, _GROUP, tile.shape[1])
        group, row = _where_at_least(groups.amax(1), self.threshold)
        self._add(groups[group, :, row], row, first + _GROUP * group, 1)

    def top_k(self) -> tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]:
        """Scores and columns, best first."""
        self._prune()
        keys, self.candidates = self._best(self.candidates[0]).view(self.rows, self.k), []
        return _score_of(keys), keys & ((1 << _COLUMN_BITS) - 1)

    def _add(
        self,
        score: Float[Tensor, "h g"],
        row: Int[Tensor, " h"],
        first: Int[Tensor, " h"],
        step: int,
    ) -> None:
        """Keep what is good enough of groups whose members are `step` columns apart."""
        group, member = _where_at_least(score, self.threshold.index_select(0, row)[:, None])
        column = first.index_select(0, group) + step * member
        self.candidates.append(_key(row.index_select(0, group), score[group, member], column))
        self.tiles += 1
        # After 2, 4, 8, ... tiles: the more were seen, the less does the k-th best still rise.
        due = self.tiles > 1 and self.tiles.bit_count() == 1
        if due or sum(map(len, self.candidates)) > _MAX_CANDIDATES * self.rows:
            self._prune()

    def _prune(self) -> None:
        """Find the k-th best so far, and keep nothing below it."""
        keys = torch.cat(self.candidates)
        row, score = keys >> _ROW_SHIFT, _score_of(keys)
        # NumPy sorts int16 by radix, in linear time, and rows of a block fit into it.
        order = torch.from_numpy(row.numpy().astype(np.int16).argsort(kind="stable"))
        by_row = row.index_select(0, order)
        column = rank_in_row(by_row, self.rows)
        table = torch.full((self.rows, max(self.k, int(column.max()) + 1)), -torch.inf)
        table[by_row, column] = score.index_select(0, order)
        self.threshold = _kth_largest(table, self.k)
        keys = keys[score >= self.threshold.index_select(0, row)]
        # Candidates that tie with the k-th all stay for now. Only where they are many is it worth a
        # sort to keep those of the smallest columns.
        self.candidates = [self._best(keys) if len(keys) > 2 * self.k * self.rows else keys]

    def _best(self, keys: Int[Tensor, " c"]) -> Int[Tensor, " b"]:
        """The k best of each row, in order; sorts the keys where they lie."""
        keys.numpy().sort()
        return keys[rank_in_row(keys >> _ROW_SHIFT, self.rows) < self.k]


def _product(
    rows: Float[Tensor, "n d"], columns: Float[Tensor, "m d"], buffer: Float[Tensor, " s"]
) -> Float[Tensor, "n m"]:
    tile = buffer[: len(rows) * len(columns)].view(len(rows), len(columns))
    with full_precision():
        return torch.mm(rows, columns.T, out=tile)


def _kth_largest(values: Float[Tensor, "n m"], k: int) -> Float[Tensor, " n"]:
    """The k-th largest of each row, −∞ where it has fewer; NumPy sorts ten times faster."""
    if values.shape[1] < k:
        return values.new_full((len(values),), -torch.inf)
    return torch.from_numpy(np.sort(values.numpy(), axis=1)[:, -k].copy())


def _where_at_least(
    values: Float[Tensor, "a b"], least: Float[Tensor, "..."]
) -> tuple[Int[Tensor, " c"], Int[Tensor, " c"]]:
    """Where values are not below `least`; NumPy compares three times faster than torch."""
    return where_true(torch.from_numpy(values.numpy() >= least.numpy()))


def _key(
    row: Int[Tensor, " c"], score: Float[Tensor, " c"], column: Int[Tensor, " c"]
) -> Int[Tensor, " c"]:
    """Integers that ascend by row, within it by falling score, then by column."""
    # Sortable bits rise with the score; 2³¹ − 1 less them are 0 .. 2³² − 1 and fall.
    falling = sortable_bits(score).long().neg_().add_((1 << 31) - 1)
    return (row << _ROW_SHIFT).bitwise_or_(falling << _COLUMN_BITS).bitwise_or_(column)


def _score_of(keys: Int[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    falling = (keys >> _COLUMN_BITS).bitwise_and_((1 << _SCORE_BITS) - 1)
    return from_sortable_bits(falling.neg_().add_((1 << 31) - 1).int(), torch.float32)
