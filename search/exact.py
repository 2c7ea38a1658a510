"""Exact nearest neighbours, in blocks, with one order of the neighbours on every device."""

import functools
from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from ranklight.kernels.checks import (
    check_counts,
    check_integers,
    check_values_are_there,
    check_vectors,
)
from ranklight.kernels.chunks import chunks
from ranklight.kernels.sortable_bits import bits_of
from ranklight.search.backends import TopKBackend, choose_backend, full_precision
from ranklight.search.order import sort_within, squared_distance
from ranklight.search.symmetric import swap_last_two, symmetric_top_k

_ELEMENTS = 1 << 19
_LOOKAHEAD = 2
_SHORT, _LONG = 256, 64
_PRODUCTS = 1 << 22


class ExactSearch:
    """The nearest rows of a gallery, exact, in an order that no device or library changes.

    Neighbours are ordered by d²(q, g) = Σ (q − g)², so by the similarity S = 1 − ½ d²: for unit
    rows the order of the inner product. **Ties: at equal distance the smaller gallery index comes
    first**, also where the list is cut. Equal means equal in float64, summed in a fixed order
    (`squared_distance`), so that exact copies tie and rounding decides nothing.

    A backend (FAISS on a GPU or on the CPU, or torch) proposes neighbours by −½ d², as the float32
    inner product of q' = (q − c, 1, −½‖q − c‖²) and g' = (g − c, −½‖g − c‖², 1), c the gallery's
    mean; for the short lists of a whole gallery on the CPU `search.symmetric` does, with half the
    products. Its rounding error has the bound

        η = ½ u (d + 7)(‖q − c‖ + r)²,   u = 2⁻²⁴, r = max ‖g − c‖,

    for any order of summation. Proposals more than 2η apart are in their true order; runs of
    closer ones are sorted by `squared_distance` and index; where such a run goes over the end of
    the list, that row is searched again for all that may belong in it. In lists of more than a
    64th of the gallery almost all neighbours are that close in float32; they are proposed in
    float64, where almost none are. Rows that come after
    `max_k` + 1 exact copies can be in nobody's list and are left out beforehand, so a collapsed
    model costs no more than others.

    Memory beside the arguments: the prepared gallery of m × (d + 2) float32, as many float64 once
    such long lists are asked for, and a few blocks.

        >>> gallery = torch.tensor([[0.0], [2.0], [2.0], [9.0]])
        >>> ExactSearch(gallery, max_k=3).nearest(torch.tensor([[1.9]]), 3)
        tensor([[1, 2, 0]])

    Args:
        gallery: Rows to find.
        max_k: The largest k that will be asked for.
        backend: Who proposes; `choose_backend` for the gallery's device by default.

    Raises:
        TypeError: The gallery is no tensor of floats.
        ValueError: The gallery is empty, not finite, or so large that squares overflow float32.
    """

    def __init__(
        self, gallery: Float[Tensor, "m d"], max_k: int, backend: TopKBackend | None = None
    ) -> None:
        check_gallery(gallery, max_k)
        self.gallery = gallery = gallery.detach()
        self.max_k = max_k
        self.backend = backend
        self.chooses = backend is None
        self.findable = _leading_copies(gallery, max_k + 1)
        self.center = gallery.float().mean(0)
        size = (len(self.findable), gallery.shape[1] + 2)
        self.points = torch.empty(size, device=gallery.device)
        parts = (torch.split(tensor, _rows_of(size[1])) for tensor in (self.points, self.findable))
        for points, rows in zip(*parts, strict=True):
            points.copy_(self._points(gallery[rows]))
        self.max_norm = (-2 * self.points[:, -2].min()).sqrt()
        check_squares(self.max_norm)

    def nearest(
        self, queries: Float[Tensor, "n d"], k: int, own: Int[Tensor, "n"] | None = None
    ) -> Int[Tensor, "n k"]:
        """Gallery indices of the k nearest, nearest first; −1 where the gallery is exhausted.

        Args:
            queries: Few enough that n × k fits; `neighbour_lists` does the blocks.
            k: Neighbours a query, at most `max_k`.
            own: Each query's own index in the gallery, left out wherever it is in the list.

        Raises:
            TypeError: Queries are no tensor of floats.
            ValueError: Queries are of another dimension, on another device, not finite or so far
                away that squares overflow float32; or k is not 1..`max_k`.
        """
        check_queries(queries, self.gallery, k, own)
        queries = queries.detach()
        num_candidates = self._num_candidates(k, own is not None)
        points = swap_last_two(self._points(queries))
        check_squares((-2 * points[:, -1]).sqrt())
        if self.chooses and num_candidates > max(_SHORT, len(self.findable) // _LONG):
            return self._nearest_by_float64(queries, num_candidates, k, own)
        if self.backend is None:
            longest = self._num_candidates(self.max_k, True)
            self.backend = choose_backend(self.gallery.device, longest)
        proposed = self.backend(points, self.points, num_candidates)
        return self._finish(queries, points, proposed, k, own)

    @functools.cached_property
    def points_in_float64(self) -> Float[Tensor, "m d_plus_2"]:
        """The prepared gallery, for long lists."""
        size = self.points.shape
        points = torch.empty(size, dtype=torch.float64, device=self.points.device)
        parts = (torch.split(tensor, _rows_of(size[1])) for tensor in (points, self.findable))
        for part, rows in zip(*parts, strict=True):
            part.copy_(self._points(self.gallery[rows], torch.float64))
        return points

    def _nearest_by_float64(
        self, queries: Tensor, num_candidates: int, k: int, own: Tensor | None
    ) -> Tensor:
        lists = [self.findable.new_empty(0, k)]
        for rows in chunks(len(queries), max(1, _PRODUCTS // len(self.findable))):
            points = swap_last_two(self._points(queries[rows], torch.float64))
            proposed = _topmost(points @ self.points_in_float64.T, num_candidates)
            itself = None if own is None else own[rows]
            lists.append(self._finish(queries[rows], points, proposed, k, itself))
        return torch.cat(lists)

    def all_nearest(self, k: int) -> Iterator[Int[Tensor, "n k"]] | None:
        """What `nearest` gives for the gallery's own rows, block after block, at half the products.

        None where `search.symmetric` is not the faster way, a backend was given, or copies were
        left out.

        Args:
            k: Neighbours a row, at most `max_k`.
        """
        num_candidates = self._num_candidates(k, True)
        if self.backend is not None or len(self.findable) < len(self.gallery):
            return None
        proposals = symmetric_top_k(self.points, num_candidates)
        return None if proposals is None else self._finish_all(proposals, k)

    def _finish_all(
        self, proposals: Iterator[tuple[Tensor, Tensor]], k: int
    ) -> Iterator[Int[Tensor, "n k"]]:
        start = 0
        for proposed in proposals:
            rows = slice(start, start + len(proposed[0]))
            own = torch.arange(rows.start, rows.stop)
            points = swap_last_two(self.points[rows])
            yield self._finish(self.gallery[rows], points, proposed, k, own)
            start = rows.stop

    def _num_candidates(self, k: int, with_own: bool) -> int:
        """How many proposals k neighbours take."""
        if k > self.max_k:
            raise ValueError(f"asked for {k} neighbours of a search prepared for {self.max_k}")
        return min(k + with_own + _LOOKAHEAD, len(self.findable))

    def _finish(
        self,
        queries: Tensor,
        points: Tensor,
        proposed: tuple[Tensor, Tensor],
        k: int,
        own: Tensor | None,
    ) -> Tensor:
        """Lists of k gallery indices from proposals."""
        needed = min(k + (own is not None), len(self.findable))
        found = self._rerank(queries, points, proposed, needed)
        found = pad(self.findable[found], (0, k + 1 - needed), value=-1)
        return found[:, :k] if own is None else drop_self(found, own)

    def _rerank(
        self, queries: Tensor, points: Tensor, proposed: tuple[Tensor, Tensor], needed: int
    ) -> Tensor:
        """The first `needed` in their true order."""
        scores, found = proposed
        # A float32 score is off by at most η: what is at most 2η = `tolerance` below its neighbour
        # may in truth be above it. The order of everything else is known from float32 alone.
        tolerance = self._tolerance(points)
        close = scores[:, :-1] - scores[:, 1:] <= tolerance
        found = self._sort_ties(queries, found, close)[:, :needed]
        if scores.shape[1] < len(self.findable):
            # Where all proposals from the last needed one on are close, the run may go on beyond
            # the proposals, with rows that nobody has looked at.
            unsure = close[:, needed - 1 :].all(1).nonzero().squeeze(1)
            least = scores[:, needed - 1 : needed] - tolerance
            for row in torch.split(unsure, max(1, _ELEMENTS // 2 // len(self.findable))):
                found[row] = self._rescan(queries[row], points[row], least[row], needed)
        return found

    def _points(self, rows: Tensor, kind: torch.dtype = torch.float32) -> Tensor:
        """(v, −½‖v‖², 1) of each row, v being centered."""
        wide = torch.promote_types(rows.dtype, kind)
        centered = (rows.to(wide) - self.center.to(wide)).to(kind)
        half_squares = centered.double().square().sum(1, keepdim=True).to(kind) / -2
        return torch.cat([centered, half_squares, torch.ones_like(half_squares)], 1)

    def _tolerance(self, points: Tensor) -> Tensor:
        norms = torch.linalg.vector_norm(points[:, :-2], dim=1, keepdim=True)
        squares: Tensor = (norms + self.max_norm).square()
        terms = points.shape[1] + 5
        if points.dtype == torch.float64:
            # twice, and 40 more: the distances that decide are sums of rounded numbers themselves
            return 2.0**-52 * (terms + 40) * squares + 2.0**-100
        return 2.0**-24 * terms * squares + 2.0**-100

    def _sort_ties(self, queries: Tensor, found: Tensor, close: Tensor) -> Tensor:
        """Sort every run of close neighbours by distance, then by index."""
        follows = pad(close, (1, 0))
        row, column = (follows | pad(close, (0, 1))).nonzero(as_tuple=True)
        if len(row) == 0:
            return found
        run = (~follows[row, column]).cumsum(0)
        distance = squared_distance(queries, row, self.gallery, self.findable[found[row, column]])
        found[row, column] = sort_within(run, distance, found[row, column])
        return found

    def _rescan(self, queries: Tensor, points: Tensor, least: Tensor, needed: int) -> Tensor:
        """The first `needed` of all that score at least `least`."""
        gallery = self.points_in_float64 if points.dtype == torch.float64 else self.points
        with full_precision():
            row, column = (points @ gallery.T >= least).nonzero(as_tuple=True)
        distance = squared_distance(queries, row, self.gallery, self.findable[column])
        column = sort_within(row, distance, column)
        counts = torch.bincount(row, minlength=len(queries))
        first = counts.cumsum(0) - counts
        return column[first[:, None] + torch.arange(needed, device=row.device)]


def check_gallery(gallery: Tensor, max_k: int) -> None:
    """Raise a TypeError or ValueError if nothing can be found in it."""
    check_values_are_there(gallery=gallery)
    check_vectors(gallery=gallery)
    check_counts(max_k=max_k)
    if 0 in gallery.shape:
        what = "rows" if len(gallery) == 0 else "dimensions"
        raise ValueError(f"the gallery has no {what}: nothing can be found")


def check_queries(queries: Tensor, gallery: Tensor, k: int, own: Tensor | None) -> None:
    """Raise a TypeError or ValueError if these cannot be looked for in the gallery."""
    check_values_are_there(gallery=gallery, queries=queries)
    check_vectors(queries=queries)
    check_counts(k=k)
    if queries.shape[1] != gallery.shape[1]:
        raise ValueError(
            f"queries of {queries.shape[1]} dimensions cannot be compared to a gallery of "
            f"{gallery.shape[1]}"
        )
    if own is None:
        return
    check_values_are_there(queries=queries, own=own)
    check_integers(own=own)
    if len(own) != len(queries):
        raise ValueError(f"{len(queries)} queries came with {len(own)} positions of their own")


def check_squares(norms: Float[Tensor, "*n"]) -> None:
    """Raise a ValueError if rows of these norms have squared distances beyond float32."""
    if not (2 * norms.square()).isfinite().all():
        raise ValueError(
            "embeddings are not finite, or so far apart that squares overflow: scale them down"
        )


def drop_self(found: Int[Tensor, "n k"], own: Int[Tensor, "n"]) -> Int[Tensor, "n k_less_1"]:
    """Leave out each row's own index, or the last where it is not there."""
    itself: Bool[Tensor, "n k"] = found == own[:, None]
    position = torch.where(itself.any(1), itself.int().argmax(1), found.shape[1])
    column = torch.arange(found.shape[1] - 1, device=found.device).expand(len(found), -1)
    return found.gather(1, column + (column >= position[:, None]).long())


def _topmost(scores: Float[Tensor, "n m"], k: int) -> tuple[Tensor, Tensor]:
    """The k largest of each row and where they are; NumPy sorts whole rows twice as fast."""
    if scores.device.type != "cpu" or 2 * k < scores.shape[1]:
        values, order = scores.topk(k, dim=1)
        return values, order
    order = torch.from_numpy(scores.neg().numpy().argsort(axis=1)[:, :k].copy())
    return scores.gather(1, order), order


def _rows_of(width: int) -> int:
    return max(1, _ELEMENTS // max(1, width))


def _leading_copies(rows: Tensor, copies: int) -> Tensor:
    """Indices, ascending, of rows before which fewer than `copies` equal rows stand."""
    # Equal rows have equal hashes, so a stable sort by hash puts copies side by side in the order
    # of their index: one sort of n integers in place of a lexicographic sort of n rows. The weights
    # are odd, so that a difference in one dimension alone always changes the hash.
    generator = torch.Generator().manual_seed(0)
    shape, bounds = (rows.shape[1],), (-(2**62), 2**62)
    weights = torch.randint(*bounds, shape, generator=generator).to(rows.device) | 1
    hashes = torch.empty(len(rows), dtype=torch.int64, device=rows.device)
    parts = (torch.split(tensor, _rows_of(rows.shape[1])) for tensor in (hashes, rows))
    for hashed, part in zip(*parts, strict=True):
        # adding 0 makes −0 the same bits as 0
        hashed.copy_((bits_of(part + 0.0) * weights).sum(1))
    hashes, order = hashes.sort(stable=True)
    position = torch.arange(len(rows), device=rows.device)
    begins = torch.ones_like(position, dtype=torch.bool)
    begins[1:] = hashes[1:] != hashes[:-1]
    # Different rows may share a hash: where it goes on, the rows themselves are compared. Copies
    # that a stranger of the same hash separates count as two runs, which leaves too many in, never
    # too few.
    (same,) = (~begins).nonzero(as_tuple=True)
    for here in torch.split(same, _rows_of(rows.shape[1])):
        begins[here] = (rows[order[here]] != rows[order[here - 1]]).any(1)
    start = torch.where(begins, position, 0).cummax(0).values
    return order[position - start < copies].sort().values
