"""All pairs of images, block by block, each once, wherever the images lie."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float64, Int
from torch import Tensor

from ranklight.kernels.chunks import chunks
from ranklight.metrics.answers import Apart
from ranklight.metrics.pair_grid import PairGrid
from ranklight.search.embedded import Embedded
from ranklight.search.shards import Block, Shards

_ROWS, _COLUMNS = 1024, 2048


class PairBlock(NamedTuple):
    """Pairs of some rows with some columns.

    Args:
        bins: Of the squared distance of each.
        same: Whether both are of one class.
        counted: Which are pairs at all; None: all of them.
        row_labels: The class of each row.
        column_labels: The class of each column.
    """

    bins: Int[Tensor, "b m"]
    same: Bool[Tensor, "b m"]
    counted: Bool[Tensor, "b m"] | None
    row_labels: Int[Tensor, "b"]
    column_labels: Int[Tensor, "m"]


class _Facts(NamedTuple):
    """What is known of some rows beside their embedding; travels as one matrix."""

    label: Int[Tensor, "n"]
    id: Int[Tensor, "n"]
    group: Int[Tensor, "n"]
    rank: Int[Tensor, "n"]
    row: Int[Tensor, "n"]

    def at(self, rows: slice) -> "_Facts":
        return _Facts(*(part[rows] for part in self))


def visit_pairs(
    queries: Embedded,
    gallery: Embedded | None,
    apart: Apart,
    grid: PairGrid,
    visit: Callable[[PairBlock], object],
    advance: Callable[[int], object] | None = None,
) -> None:
    """Show every pair of all ranks to one of them, in blocks; collective.

    Blocks of rows go from rank to rank and meet the columns there. Among the queries themselves two
    ranks could both see a pair: the lower one takes those with the second half of the other's rows.
    A rank holds its rows and a block or two, never n × m.

    Args:
        queries: The rows.
        gallery: The columns; if None every two of the queries are a pair, once.
        apart: What is no pair, see `count_pairs`.
        grid: Bins of the squared distance.
        visit: Is shown every block.
        advance: Called with the number of rows each time that some have met all columns.
    """
    among = queries if gallery is None else gallery
    facts, columns = _facts(queries), _facts(among)
    compare_ids = gallery is not None and _share_images(queries, gallery)

    def meet(block: Block) -> Block:
        embeddings, known = block
        rows = _Facts(*known.unbind(1))
        part, start, stop = _pairs_here(rows, among.shards) if gallery is None else (0, 0, None)
        rows = rows.at(slice(part, None))
        left = _left(grid.points(embeddings[part:]))
        for here in chunks((len(columns.row) if stop is None else stop) - start, _COLUMNS):
            if len(left) == 0:
                break
            here = slice(here.start + start, here.stop + start)
            bins = (left @ _right(grid.points(among.embeddings[here])).T).int()
            others = columns.at(here)
            same = rows.label[:, None] == others.label
            counted = _counted(rows, others, same, apart, gallery is None, compare_ids)
            visit(PairBlock(bins, same, counted, rows.label, others.label))
        return block

    blocks = (
        (queries.embeddings[rows], torch.stack(facts.at(rows), 1))
        for rows in chunks(len(queries.embeddings), _ROWS)
    )
    for embeddings, _ in queries.shards.ring_pass(blocks, meet):
        if advance is not None:
            advance(len(embeddings))


def _pairs_here(rows: _Facts, shards: Shards) -> tuple[int, int, int | None]:
    """Of a block of some rank: the first row to take, and the columns of this rank to take."""
    home, first = int(rows.rank[0]), int(rows.row[0])
    if home == shards.rank:
        return 0, first, None
    if home < shards.rank:
        return 0, 0, len(shards.own) // 2
    return max(0, len(shards.positions[home]) // 2 - first), 0, None


def _counted(
    rows: _Facts, columns: _Facts, same: Tensor, apart: Apart, among_rows: bool, compare_ids: bool
) -> Bool[Tensor, "b m"] | None:
    left_out: list[Tensor] = []
    if among_rows and len(rows.rank) and len(columns.rank):
        both_here = rows.rank[0] == columns.rank[0]
        if both_here and columns.row[0] <= rows.row[-1]:
            left_out.append(columns.row <= rows.row[:, None])
    if compare_ids:
        left_out.append(rows.id[:, None] == columns.id)
    if apart != "image":
        one_group = (rows.group[:, None] == columns.group) & (columns.group >= 0)
        left_out.append(one_group if apart == "group" else one_group & same)
    if not left_out:
        return None
    out = left_out[0]
    for more in left_out[1:]:
        out = out | more
    return ~out


def _left(points: Float64[Tensor, "b d"]) -> Float64[Tensor, "b e"]:
    """Rows (−2p, ‖p‖² + ½, 1), whose product with (q, 1, ‖q‖²) is ‖p − q‖² + ½.

    So a bin, the nearest whole number, is what is before the point.
    """
    squares = points.square().sum(1, keepdim=True)
    return torch.cat([-2 * points, squares + 0.5, torch.ones_like(squares)], 1)


def _right(points: Float64[Tensor, "m d"]) -> Float64[Tensor, "m e"]:
    squares = points.square().sum(1, keepdim=True)
    return torch.cat([points, torch.ones_like(squares), squares], 1)


def _facts(side: Embedded) -> _Facts:
    ids, own = side.ids, torch.arange(len(side.ids), device=side.ids.device)
    group = torch.full_like(ids, -1) if side.groups is None else side.groups
    return _Facts(side.labels.long(), ids, group, torch.full_like(ids, side.shards.rank), own)


def _share_images(queries: Embedded, gallery: Embedded) -> bool:
    """Whether an image is on both sides, by the ids that both were given; collective."""
    if not (queries.has_ids and gallery.has_ids):
        return False
    both = queries.shards.all_gather((gallery.find(queries.ids) >= 0).byte())
    return bool(both.any())
