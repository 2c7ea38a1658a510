"""Embeddings with a part of their neighbours' added."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ranklight.kernels.checks import check_counts
from ranklight.kernels.chunks import chunks
from ranklight.search.after.rows_of_ranks import rows_at
from ranklight.search.after.unit_rows import check_unit, unit_rows
from ranklight.search.embedded import Embedded, check_searchable
from ranklight.search.neighbours import AnySearch, neighbour_lists
from ranklight.search.order import folded_sum

_ELEMENTS = 1 << 20


def check_expansion(n: int, alpha: float) -> None:
    """Refuse a number of neighbours or a power that makes no sum."""
    check_counts(n=n)
    if not (alpha >= 0 and math.isfinite(alpha)):
        raise ValueError(f"alpha must be 0 or more; got {alpha}")


def neighbour_sum(
    queries: Embedded,
    gallery: Embedded | None,
    n: int,
    alpha: float,
    search: AnySearch,
    what: str,
) -> Float[Tensor, "n d"]:
    """Each x + Σ_j max(S(x, g_j), 0)^α g_j over its n nearest g_j, at length 1; collective.

    Memory: n·8 bytes a query, and a block of some MiB.
    """
    check_searchable(queries, gallery)
    among = queries if gallery is None else gallery
    for side in (queries, among):
        check_unit(side, what)
    lists = nearest_rows(queries, gallery, n, search)
    given = queries.embeddings
    size = max(1, _ELEMENTS // (lists.shape[1] * given.shape[1]))
    parts = list(chunks(len(given), size))
    blocks = rows_at((among.embeddings,), among.shards, (lists[part] for part in parts))
    summed = torch.empty_like(given)
    for part, (rows,) in zip(parts, blocks, strict=True):
        own, near = given[part].double()[:, None], rows.double()
        weight = _power(1 - folded_sum((own - near).square()) / 2, alpha)
        weight = weight.masked_fill(lists[part] < 0, 0)[:, :, None]
        terms = torch.cat([own, weight * near], 1)
        summed[part] = unit_rows(folded_sum(terms.transpose(1, 2))).to(given.dtype)
    return summed


def nearest_rows(
    queries: Embedded, gallery: Embedded | None, k: int, search: AnySearch
) -> Int[Tensor, "n k"]:
    """The k nearest of every query, or all there are; −1 past the end; collective."""
    k = min(k, (queries if gallery is None else gallery).shards.size)
    counts = torch.full_like(queries.ids, k)
    lists = torch.full((len(counts), k), -1, device=counts.device)
    for row, found in neighbour_lists(queries, gallery, counts, search):
        lists[row] = found[:, :k]
    return lists


def _power(similarity: Float[Tensor, "b k"], alpha: float) -> Float[Tensor, "b k"]:
    """max(S, 0)^α; as torch.pow rounds in another way at the end of a vector, by exp and log."""
    if alpha == 0:
        return torch.ones_like(similarity)
    return (similarity.clamp(min=0).log() * alpha).exp()
