"""Exact nearest neighbours, in blocks, with one order of the neighbours on every device."""

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ranklight.kernels.chunks import chunks
from ranklight.kernels.sortable_bits import bits_of
from ranklight.search.backends import Largest, choose_backend, full_precision
from ranklight.search.shards import Shards
from ranklight.search.symmetric import largest_among, swapped, symmetric_pays

_ROWS = 4096
_ELEMENTS = 1 << 19
_CACHED = 1 << 16
_LOOKAHEAD = 2


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
    the list, that row is searched again for all that may belong in it. Rows that come after `most`
    + 1 exact copies can be in nobody's list and are left out beforehand, so a collapsed model
    costs no more than others.

    Memory beside the arguments: the prepared gallery of m × (d + 2) float32, and a few blocks.

    Args:
        gallery: Rows to find.
        most: The largest k that will be asked for.
        backend: Who proposes; `choose_backend` for the gallery's device by default.

    Raises:
        ValueError: The gallery is empty, not finite, or so large that squares overflow float32.
    """

    def __init__(
        self, gallery: Float[Tensor, "m d"], most: int, backend: Largest | None = None
    ) -> None:
        if len(gallery) == 0:
            raise ValueError("the gallery has no rows: nothing can be found")
        check_finite(gallery)
        self.gallery = gallery
        self.most = most
        self.kept = _leading_copies(gallery, most + 1)
        self.centre = gallery.float().mean(0)
        self.backend = backend
        self.points = gallery.new_empty(len(self.kept), gallery.shape[1] + 2, dtype=torch.float32)
        for rows in chunks(len(self.kept), _rows_of(gallery.shape[1])):
            self.points[rows] = self._points(gallery[self.kept[rows]])
        self.reach = (-2 * self.points[:, -2].min()).sqrt()
        if not torch.isfinite(2 * self.reach.square()):
            raise ValueError("embeddings so far apart that their squares overflow: scale them down")

    def nearest(
        self, queries: Float[Tensor, "n d"], k: int, own: Int[Tensor, "n"] | None = None
    ) -> Int[Tensor, "n k"]:
        """Gallery indices of the k nearest, nearest first; −1 where the gallery is exhausted.

        Args:
            queries: Few enough that n × k fits; `nearest` does the blocks.
            k: Neighbours a query, at most `most`.
            own: Each query's own place in the gallery, left out wherever it stands in the list.
        """
        asked = self._asked(k, own is not None)
        points = swapped(self._points(queries))
        if self.backend is None:
            longest = self._asked(self.most, True)
            self.backend = choose_backend(self.gallery.device, longest)
        return self._settled(queries, points, self.backend(points, self.points, asked), k, own)

    def all_nearest(self, k: int) -> Iterator[Int[Tensor, "n k"]]:
        """What `nearest` gives for the gallery's own rows, block after block.

        By `search.symmetric` where that pays, no backend was given and no copies were left out.

        Args:
            k: Neighbours a row, at most `most`.
        """
        own = torch.arange(len(self.gallery), device=self.gallery.device)
        pays = self.backend is None and use_symmetric_search(self.gallery, k)
        if not pays or len(self.kept) < len(own):
            for rows in chunks(len(own), rows_for(k)):
                yield self.nearest(self.gallery[rows], k, own[rows])
            return
        start = 0
        for proposed in largest_among(self.points, self._asked(k, True)):
            rows = slice(start, start + len(proposed[0]))
            points = swapped(self.points[rows])
            yield self._settled(self.gallery[rows], points, proposed, k, own[rows])
            start = rows.stop

    def _asked(self, k: int, besides_own: bool) -> int:
        """How many proposals k neighbours take."""
        if k > self.most:
            raise ValueError(f"asked for {k} neighbours of a search prepared for {self.most}")
        return min(k + besides_own + _LOOKAHEAD, len(self.kept))

    def _settled(
        self,
        queries: Tensor,
        points: Tensor,
        proposed: tuple[Tensor, Tensor],
        k: int,
        own: Tensor | None,
    ) -> Tensor:
        """Proposals in their true order, searched again where the end of the list is unsure."""
        needed = min(k + (own is not None), len(self.kept))
        scores, found = proposed
        asked = scores.shape[1]
        tolerance = self._tolerance(points)
        close = scores[:, :-1] - scores[:, 1:] <= tolerance
        found = self._settle(queries, found, close)[:, :needed]
        if asked < len(self.kept):
            unsure = close[:, needed - 1 :].all(1).nonzero().squeeze(1)
            least = scores[:, needed - 1 : needed] - tolerance
            for rows in chunks(len(unsure), max(1, _ELEMENTS // 2 // len(self.kept))):
                row = unsure[rows]
                found[row] = self._again(queries[row], points[row], least[row], needed)
        found = torch.nn.functional.pad(self.kept[found], (0, k + 1 - needed), value=-1)
        return found[:, :k] if own is None else without(found, own)

    def _points(self, rows: Tensor) -> Tensor:
        """(v, −½‖v‖², 1) of each row, v being centred."""
        wide = torch.promote_types(rows.dtype, torch.float32)
        centred = (rows.to(wide) - self.centre.to(wide)).float()
        half_squares = centred.double().square().sum(1, keepdim=True).float() / -2
        return torch.cat([centred, half_squares, torch.ones_like(half_squares)], 1)

    def _tolerance(self, points: Tensor) -> Tensor:
        norms = torch.linalg.vector_norm(points[:, :-2], dim=1, keepdim=True)
        error: Tensor = (points.shape[1] + 5) * (norms + self.reach).square()
        return 2.0**-24 * error + 2.0**-100

    def _settle(self, queries: Tensor, found: Tensor, close: Tensor) -> Tensor:
        """Sort every run of close neighbours."""
        follows = torch.nn.functional.pad(close, (1, 0))
        row, column = (follows | torch.nn.functional.pad(close, (0, 1))).nonzero(as_tuple=True)
        if len(row) == 0:
            return found
        run = (~follows[row, column]).cumsum(0)
        distance = squared_distance(queries, row, self.gallery, self.kept[found[row, column]])
        found[row, column] = _sorted_within(run, distance, found[row, column])
        return found

    def _again(self, queries: Tensor, points: Tensor, least: Tensor, needed: int) -> Tensor:
        """The first `needed` of all that score at least `least`."""
        with full_precision():
            row, column = (points @ self.points.T >= least).nonzero(as_tuple=True)
        distance = squared_distance(queries, row, self.gallery, self.kept[column])
        column = _sorted_within(row, distance, column)
        counts = torch.bincount(row, minlength=len(queries))
        first = counts.cumsum(0) - counts
        return column[first[:, None] + torch.arange(needed, device=row.device)]


def nearest(
    queries: Float[Tensor, "n d"],
    k: int,
    gallery: Float[Tensor, "m d"] | None = None,
    backend: Largest | None = None,
) -> Int[Tensor, "n k"]:
    """Indices of the k nearest gallery rows of every query, by the rules of `ExactSearch`.

    Args:
        queries: What to find neighbours of.
        k: How many; columns past the end of the gallery are −1.
        gallery: Where to look; among the queries themselves, without each one's own row, by
            default.
        backend: Who proposes neighbours; chosen by device by default.
    """
    found = torch.empty(len(queries), k, dtype=torch.int64, device=queries.device)
    if gallery is None:
        start = 0
        for lists in ExactSearch(queries, k, backend).all_nearest(k):
            found[start : start + len(lists)] = lists
            start += len(lists)
        return found
    check_finite(queries)
    search = ExactSearch(gallery, k, backend)
    for rows in chunks(len(queries), rows_for(k)):
        found[rows] = search.nearest(queries[rows], k)
    return found


def use_symmetric_search(gallery: Float[Tensor, "m d"], k: int) -> bool:
    """Whether `ExactSearch.all_nearest` is the faster way to the lists of a whole gallery."""
    return symmetric_pays(gallery, k + 1 + _LOOKAHEAD)


def squared_distance(
    queries: Float[Tensor, "n d"],
    rows: Int[Tensor, "p"],
    gallery: Float[Tensor, "m d"],
    columns: Int[Tensor, "p"],
) -> Float[Tensor, "p"]:
    """Σ (q − g)² in float64 of pairs (row, column): the same bits on every device.

    The sum folds the second half of the dimensions onto the first until one is left; so its order
    depends on nothing but their number, and equal rows get equal distances.
    """
    width = 1 << (queries.shape[1] - 1).bit_length()
    distance = torch.empty(len(rows), dtype=torch.float64, device=queries.device)
    for pairs in chunks(len(rows), max(1, _CACHED // width)):
        terms = queries[rows[pairs]].double().sub_(gallery[columns[pairs]]).square_()
        if terms.shape[1] < width:
            terms = torch.nn.functional.pad(terms, (0, width - terms.shape[1]))
        while terms.shape[1] > 1:
            half = terms.shape[1] // 2
            terms = terms[:, :half] + terms[:, half:]
        distance[pairs] = terms.squeeze(1)
    return distance


def check_finite(embeddings: Float[Tensor, "n d"], shards: Shards | None = None) -> None:
    """Raise a ValueError that says how many embeddings are not finite and which is the first.

    With `shards`, which say which rows these are of those of all ranks, all ranks raise it.
    """
    broken = embeddings.new_zeros(len(embeddings), dtype=torch.uint8)
    # What is not finite leaves no sum finite; large numbers may not either.
    if not embeddings.sum().isfinite():
        for rows in chunks(len(embeddings), _ROWS):
            broken[rows] = ~embeddings[rows].isfinite().all(1)
    if shards is not None:
        broken = shards.whole(broken)
    if broken.any():
        where = broken.nonzero().squeeze(1)
        raise ValueError(
            f"{len(where)} of {len(broken)} embeddings hold NaN or infinity, "
            f"the first at row {where[0].item()}: they cannot be ranked"
        )


def rows_for(k: int) -> int:
    """Queries to search together, so that their lists of k stay within a few MiB."""
    return max(1, min(_ROWS, _ELEMENTS // max(1, k)))


def _rows_of(width: int) -> int:
    return max(1, _ELEMENTS // max(1, width))


def _leading_copies(rows: Tensor, copies: int) -> Tensor:
    """Indices, ascending, of rows before which fewer than `copies` equal rows stand."""
    generator = torch.Generator().manual_seed(0)
    shape, bounds = (rows.shape[1],), (-(2**62), 2**62)
    weights = torch.randint(*bounds, shape, generator=generator).to(rows.device) | 1
    hashes = torch.empty(len(rows), dtype=torch.int64, device=rows.device)
    for part in chunks(len(rows), _rows_of(rows.shape[1])):
        # adding 0 makes −0 the same bits as 0
        hashes[part] = (bits_of(rows[part] + 0.0) * weights).sum(1)
    hashes, order = hashes.sort(stable=True)
    place = torch.arange(len(rows), device=rows.device)
    begins = torch.ones_like(place, dtype=torch.bool)
    begins[1:] = hashes[1:] != hashes[:-1]
    (same,) = (~begins).nonzero(as_tuple=True)
    for part in chunks(len(same), _rows_of(rows.shape[1])):
        here = same[part]
        begins[here] = (rows[order[here]] != rows[order[here - 1]]).any(1)
    start = torch.where(begins, place, 0).cummax(0).values
    return order[place - start < copies].sort().values


def _sorted_within(
    run: Int[Tensor, "p"], distance: Float[Tensor, "p"], index: Int[Tensor, "p"]
) -> Int[Tensor, "p"]:
    """Indices sorted by distance, then by themselves, within each run; the runs ascend."""
    order = index.argsort(stable=True)
    order = order[distance[order].argsort(stable=True)]
    order = order[run[order].argsort(stable=True)]
    return index[order]


def without(found: Int[Tensor, "n k"], own: Int[Tensor, "n"]) -> Int[Tensor, "n k_less_1"]:
    """Leave out each row's own index, or the last where it is not there."""
    itself: Bool[Tensor, "n k"] = found == own[:, None]
    place = torch.where(itself.any(1), itself.int().argmax(1), found.shape[1])
    column = torch.arange(found.shape[1] - 1, device=found.device).expand(len(found), -1)
    return found.gather(1, column + (column >= place[:, None]).long())
