"""Exact search of a gallery that is too large to be prepared at once, such as a file on disk."""

import sys
import time
from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ranklight.kernels.checks import check_counts
from ranklight.kernels.chunks import chunks
from ranklight.search.backends import TopKBackend
from ranklight.search.exact import ExactSearch, check_gallery, check_queries
from ranklight.search.order import distances_of, empty_lists, merge_lists

_PREPARED = 256 << 20
_BESIDE_A_ROW = 64
_WORTH_SAYING, _SILENT_FOR = 10.0, 30.0
_ROWS = 4096
_ELEMENTS = 1 << 19


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


class BlockedSearch:
    """`ExactSearch` of a gallery larger than memory: the same lists, to the bit.

    One block of the gallery after the other is prepared, searched and forgotten; of each query the
    k nearest so far are kept, by float64 distance and index. Of the gallery itself nothing is
    copied: `torch.from_numpy(np.load(file, mmap_mode="r"))` is read from disk, block by block. Each
    call of `nearest` reads it once, so it takes as many queries as it can get.

    Memory beside the arguments: a block, prepared (256 MiB by default), and 16 bytes for each
    neighbour. A search of more than ten seconds says how long it will take, and in how much memory,
    when it has timed some queries in the first block, and then how far it is.

        >>> gallery = torch.tensor([[0.0], [2.0], [2.0], [9.0]])
        >>> BlockedSearch(gallery, max_k=3, rows_per_block=2).nearest(torch.tensor([[1.9]]), 3)
        tensor([[1, 2, 0]])

    Args:
        gallery: Rows to find.
        max_k: The largest k that will be asked for.
        rows_per_block: More take more memory and save little time; None: what 256 MiB hold.
        backend: Who proposes; `choose_backend` for the gallery's device by default.
        tell: Called with the estimate and the progress; by default they are printed to the standard
            error.

    Raises:
        TypeError: The gallery is no tensor of floats.
        ValueError: The gallery is empty, or a block has no rows. Rows that are not finite are
            refused when they are searched.
    """

    def __init__(
        self,
        gallery: Float[Tensor, "m d"],
        max_k: int,
        rows_per_block: int | None = None,
        backend: TopKBackend | None = None,
        tell: Callable[[str], object] = _say,
    ) -> None:
        check_gallery(gallery, max_k)
        if rows_per_block is None:
            rows_per_block = max(1, _PREPARED // _prepared(gallery.shape[1]))
        check_counts(rows_per_block=rows_per_block)
        self.gallery = gallery.detach()
        self.max_k = max_k
        self.rows_per_block = min(rows_per_block, len(gallery))
        self.backend = backend
        self.tell = tell

    def nearest(
        self, queries: Float[Tensor, "n d"], k: int, own: Int[Tensor, "n"] | None = None
    ) -> Int[Tensor, "n k"]:
        """Gallery indices of the k nearest, nearest first; −1 where the gallery is exhausted.

        Args:
            queries: What to find neighbours of.
            k: Neighbours a query, at most `max_k`.
            own: Each query's own index in the gallery, left out wherever it is in the list.

        Raises:
            TypeError: Queries are no tensor of floats.
            ValueError: Queries are of another dimension or on another device; queries or a part of
                the gallery are not finite or so far away that squares overflow float32; or k is not
                1..`max_k`.
        """
        check_queries(queries, self.gallery, k, own)
        if k > self.max_k:
            raise ValueError(f"asked for {k} neighbours of a search prepared for {self.max_k}")
        lists = empty_lists(len(queries), k, queries.device)
        progress = _Progress(self, len(queries), k)
        for block in chunks(len(self.gallery), self.rows_per_block):
            for rows in self._search_block(block, queries, own, lists):
                progress.searched(block, rows)
        return lists[1]

    def _search_block(
        self, block: slice, queries: Tensor, own: Tensor | None, lists: tuple[Tensor, Tensor]
    ) -> Iterator[slice]:
        """Put what a block of the gallery has into the lists; yields the queries that are done."""
        distance, found = lists
        k = found.shape[1]
        search = ExactSearch(self.gallery[block], k, self.backend)
        for rows in chunks(len(queries), max(1, min(_ROWS, _ELEMENTS // k))):
            itself = None if own is None else _within(own[rows], block)
            here = search.nearest(queries[rows], k, itself)
            new = distances_of(queries[rows], search.gallery, here)
            here = torch.where(here < 0, here, here + block.start)
            distance[rows], found[rows] = merge_lists(distance[rows], found[rows], new, here)
            yield rows


class _Progress:
    """What a search says of itself: an estimate as soon as it can, then how far it is."""

    def __init__(self, search: BlockedSearch, queries: int, k: int) -> None:
        self.tell = search.tell
        self.queries, (self.size, dimensions) = queries, search.gallery.shape
        self.memory = search.rows_per_block * _prepared(dimensions) + 16 * queries * k
        self.start = self.said = time.perf_counter()

    def searched(self, block: slice, rows: slice) -> None:
        """These queries, and all before them, were looked for up to the end of this block."""
        now = time.perf_counter()
        first = block.start == rows.start == 0
        done = block.start * self.queries + (block.stop - block.start) * rows.stop
        share = done / (self.size * self.queries)
        left = (now - self.start) * (1 - share) / share
        if first and left > _WORTH_SAYING:
            self.tell(
                f"{self.queries:,} queries in {self.size:,} rows, exactly: about {_spell(left)}, "
                f"and {self.memory / 2**30:.1f} GiB beside the rows"
            )
        elif not first and left > 0 and now - self.said > _SILENT_FOR:
            self.tell(f"{share:.0%} searched, about {_spell(left)} to go")
            self.said = now


def _prepared(dimensions: int) -> int:
    """Bytes that a row takes while its block is searched."""
    return 4 * (dimensions + 2) + _BESIDE_A_ROW


def _within(own: Int[Tensor, "n"], block: slice) -> Int[Tensor, "n"]:
    """Positions in the gallery as positions in a block, −1 outside of it."""
    return torch.where((own >= block.start) & (own < block.stop), own - block.start, -1)


def _spell(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 6000 else f"{seconds / 3600:.1f} hours"
