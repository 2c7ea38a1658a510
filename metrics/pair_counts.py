"""How far apart pairs of the same class and of different ones are, as counts."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ranklight.kernels.checks import check_tensors, check_values_are_there, is_integer
from ranklight.kernels.chunks import chunks
from ranklight.metrics.answers import Apart
from ranklight.metrics.checks import check_floats
from ranklight.metrics.pair_blocks import PairBlock, visit_pairs
from ranklight.metrics.pair_grid import BINS, grid_of
from ranklight.search.embedded import Embedded, check_searchable
from ranklight.search.order import squared_distance

_ROWS = 1024
_INT32 = (1 << 31) - 1


class PairCounts(NamedTuple):
    """How many pairs there are at each squared distance; the same on every rank.

    Args:
        squared_distance: ‖z_i − z_j‖² = 2 − 2S, ascending, no two alike.
        same: How many pairs of the same class are so far apart.
        different: How many pairs of different classes are.

        >>> rows = Embedded(torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0, 0, 1]))
        >>> count_pairs(rows).same
        tensor([1, 0, 0])
    """

    squared_distance: Float[Tensor, "k"]
    same: Int[Tensor, "k"]
    different: Int[Tensor, "k"]


def count_pairs(
    queries: Embedded,
    gallery: Embedded | None = None,
    apart: Apart = "image",
    advance: Callable[[int], object] | None = None,
) -> PairCounts:
    """Count all pairs of images by squared distance, without a table of n × m.

    Distances are rounded to a multiple of w = r²·2⁻²⁰, r being the smallest power of two that no
    embedding is longer than: of unit vectors S = 1 − ½ d² is told apart to 5·10⁻⁷. Everything else
    is exact, whatever the number of ranks: a distance is summed without rounding, of embeddings
    rounded to r·2⁻²⁵, and counts are integers. Where the middle of all embeddings is nearer to them
    than zero, r is measured from there.

    Memory beside the embeddings: two histograms of 2²² bins, on each rank, and a few blocks.

        >>> rows = Embedded(torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0, 0, 1]))
        >>> count_pairs(rows).squared_distance
        tensor([1., 4., 9.], dtype=torch.float64)

    Args:
        queries: One side of each pair, labelled by integer classes.
        gallery: The other; every query with every image of it, but for the one that has its id,
            where both were given ids. If None, every two of the queries, once.
        apart: What is no pair beside an image and itself: `group`: two images of one group (camera,
            session); `class_and_group`: two of one class and group, as where a person's pictures
            from one camera are too easy, but strangers there are not.
        advance: Called with the number of queries each time that some are done.

    Raises:
        ValueError: Embeddings are not finite or of two dimensions, labels are no classes, a side is
            empty, ids repeat, there is no such `apart`, or no group to tell.
    """
    if gallery is queries:
        gallery = None
    sides = (queries,) if gallery is None else (queries, gallery)
    check_sides(queries, gallery, apart)
    grid, device = grid_of(*sides), queries.embeddings.device
    of_all, of_same = _Histogram(device), _Histogram(device)

    def add(block: PairBlock) -> None:
        bins, alike, counted = block.bins, block.same, block.counted
        of_all.add(bins if counted is None else bins[counted])
        of_same.add(bins[alike if counted is None else alike & counted])

    visit_pairs(queries, gallery, apart, grid, add, advance)
    every, same = (queries.shards.all_reduce(of.counts()) for of in (of_all, of_same))
    (bins,) = every.nonzero(as_tuple=True)
    every, same = every[bins], same[bins]
    return PairCounts(bins.double().mul_(grid.width), same, every - same)


def tally_distances(squared_distance: Float[Tensor, "p"], same: Bool[Tensor, "p"]) -> PairCounts:
    """Count pairs whose distances are known, without rounding them.

        >>> tally_distances(torch.tensor([0.5, 0.1, 0.5]), torch.tensor([True, True, False]))[1:]
        (tensor([1, 1]), tensor([0, 1]))

    Args:
        squared_distance: Of each pair.
        same: Whether its images are of the same class.

    Raises:
        TypeError: Distances are no floats, or `same` is not True and False.
        ValueError: They are not one a pair, there is no pair, or a distance is negative or NaN.
    """
    check_floats([None], squared_distance=squared_distance)
    check_values_are_there(squared_distance=squared_distance, same=same)
    if same.dtype != torch.bool:
        raise TypeError(f"same must be True or False for each pair; got {same.dtype}")
    if same.shape != squared_distance.shape or not len(same):
        raise ValueError(
            "there must be one distance and one True or False for each of one or more pairs; got "
            f"the shapes {list(squared_distance.shape)} and {list(same.shape)}"
        )
    if not (squared_distance >= 0).all():
        raise ValueError("squared distances must be 0 or more; one is negative or NaN")
    distance, place = torch.unique(squared_distance.detach().double(), return_inverse=True)
    alike = torch.bincount(place[same], minlength=len(distance))
    return PairCounts(distance, alike, torch.bincount(place, minlength=len(distance)) - alike)


def pair_distances(
    queries: Embedded, gallery: Embedded, pairs: Int[Tensor, "p 2"]
) -> Float[Tensor, "p"]:
    """The squared distance of each listed pair, by `search.squared_distance`; collective.

        >>> rows = Embedded(torch.tensor([[0.0], [1.0], [3.0]]))
        >>> pair_distances(rows, rows, torch.tensor([[0, 1], [2, 0]]))
        tensor([1., 9.], dtype=torch.float64)

    Args:
        queries: Where the first image of each pair is.
        gallery: Where the second one is.
        pairs: Positions in both, among the rows of all ranks; the same on every rank.

    Raises:
        TypeError: Pairs are no tensor.
        ValueError: No pair, one of rows that are not there, or embeddings that are not finite or of
            two dimensions.
    """
    check_values_are_there(embeddings=queries.embeddings, pairs=pairs)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not is_integer(pairs) or not len(pairs):
        raise ValueError(
            "pairs are one or more rows of two positions, not "
            f"{pairs.dtype} of shape {list(pairs.shape)}"
        )
    check_searchable(queries, None if gallery is queries else gallery)
    pairs = pairs.long()
    for side, positions in zip((queries, gallery), pairs.unbind(1), strict=True):
        if positions.min() < 0 or positions.max() >= side.shards.size:
            raise ValueError(
                f"pairs name rows {int(positions.min())}..{int(positions.max())} of a side that "
                f"has rows 0..{side.shards.size - 1}"
            )
    distance = torch.empty(len(pairs), dtype=torch.float64, device=pairs.device)
    for rows in chunks(len(pairs), _ROWS):
        first = queries.shards.take(queries.embeddings, pairs[rows, 0])
        second = gallery.shards.take(gallery.embeddings, pairs[rows, 1])
        each = torch.arange(len(first), device=first.device)
        distance[rows] = squared_distance(first, each, second, each)
    return distance


class _Histogram:
    """Counts of int32, which miss the cache less often than int64, emptied before they overflow."""

    def __init__(self, device: torch.device) -> None:
        self._recent = torch.zeros(BINS, dtype=torch.int32, device=device)
        self._before: Tensor | None = None
        self._added = 0

    def add(self, bins: Int[Tensor, "..."]) -> None:
        if self._added + bins.numel() > _INT32:
            self._before, self._added = self.counts(), 0
            self._recent.zero_()
        self._added += bins.numel()
        one = self._recent.new_ones(()).expand(bins.numel())
        self._recent.index_add_(0, bins.flatten(), one)

    def counts(self) -> Int[Tensor, "bins"]:
        recent = self._recent.long()
        return recent if self._before is None else recent.add_(self._before)


def check_sides(queries: Embedded, gallery: Embedded | None, apart: Apart) -> None:
    """Raise a ValueError, the same on every rank, if these make no pairs; collective."""
    sides = [queries] if gallery is None else [queries, gallery]
    for side in sides:
        labels = side.labels
        if labels.ndim != 1 or not is_integer(labels):
            raise ValueError(
                "pairs are the same or different by one integer class a row (shape [n]), not by "
                f"labels of type {labels.dtype} and shape {list(labels.shape)}"
            )
    if apart not in ("image", "group", "class_and_group"):
        raise ValueError(f"apart must be image, group or class_and_group; got {apart}")
    if apart != "image" and any(side.groups is None for side in sides):
        raise ValueError(
            f"apart={apart} needs the group (camera, session) of every image; there are none"
        )
    check_tensors(**{f"side {number}": side.embeddings for number, side in enumerate(sides)})
    check_searchable(queries, gallery)
    if gallery is None and queries.has_ids:
        queries.find(queries.ids)  # raises where two rows are one image
