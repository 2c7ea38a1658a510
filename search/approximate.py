"""Approximate nearest neighbours, for galleries too large to search exactly."""

import math
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ranklight.kernels.checks import check_counts, whole
from ranklight.search.backends import faiss
from ranklight.search.embedded import Embedded, check_finite, check_searchable
from ranklight.search.exact import (
    ExactSearch,
    check_gallery,
    check_queries,
    check_squares,
    drop_self,
)
from ranklight.search.neighbours import Prepare, neighbour_lists
from ranklight.search.order import distances_of, sort_lists

Kind = Literal["IVFFlat", "IVFPQ", "HNSW"]

_CODES = 256


class ApproximateSearch:
    """Most of the nearest rows of a gallery, by a FAISS index on the CPU.

    What the index finds is put into the order of `ExactSearch`, by float64 distance and index; what
    it misses is missing, so scores are too low by an unknown amount, which `index_recall` measures.

        >>> gallery = torch.arange(80.0)[:, None]
        >>> ApproximateSearch(gallery, max_k=3, effort=40).nearest(torch.tensor([[6.9]]), 3)
        tensor([[7, 6, 8]])

    Args:
        gallery: Rows to find.
        max_k: The largest k that will be asked for.
        kind: `IVFFlat`: rows in 4√m cells, of which `effort` are searched. `IVFPQ`: the same
            with rows kept as codes of one byte for four dimensions or more. `HNSW`: a graph of 32
            links a row, `effort` rows long in search.
        effort: More finds more and takes longer.

    Raises:
        TypeError: The gallery is no tensor of floats.
        ValueError: Another kind, too few rows to learn codes from, or a gallery that is empty, not
            finite, or so large that squares overflow float32.
        ImportError: FAISS is not installed.
    """

    def __init__(
        self, gallery: Float[Tensor, "m d"], max_k: int, kind: Kind = "IVFFlat", effort: int = 32
    ) -> None:
        if kind not in get_args(Kind):
            raise ValueError(f"an approximate index is one of {get_args(Kind)}, not {kind!r}")
        if whole(effort, "effort") < 1:
            raise ValueError(f"an index is searched with an effort of 1 or more, not {effort}")
        check_gallery(gallery, max_k)
        _check_rows(gallery)
        library = faiss()
        if library is None:
            raise ImportError("an index needs FAISS: install faiss-cpu or faiss-gpu")
        self.gallery = gallery = gallery.detach()
        self.max_k = max_k
        rows = gallery.float().cpu().numpy()
        self.index = library.index_factory(gallery.shape[1], index_name(kind, *gallery.shape))
        self.index.train(rows)
        self.index.add(rows)
        # a graph is never searched shorter than the list that is wanted
        name, value = ("efSearch", max(effort, max_k + 1)) if kind == "HNSW" else ("nprobe", effort)
        value = min(value, len(gallery))
        library.ParameterSpace().set_index_parameter(self.index, name, value)

    def nearest(
        self, queries: Float[Tensor, "n d"], k: int, own: Int[Tensor, "n"] | None = None
    ) -> Int[Tensor, "n k"]:
        """Gallery indices of k near rows, nearest first; −1 where the index found fewer.

        Args:
            queries: What to find neighbours of.
            k: Neighbours a query, at most `max_k`.
            own: Each query's own index in the gallery, left out.

        Raises:
            TypeError: Queries are no tensor of floats.
            ValueError: Queries are of another dimension, on another device, not finite or so far
                away that squares overflow float32; or k is not 1..`max_k`.
        """
        check_queries(queries, self.gallery, k, own)
        _check_rows(queries)
        if k > self.max_k:
            raise ValueError(f"asked for {k} neighbours of a search prepared for {self.max_k}")
        num_candidates = min(k + (own is not None), len(self.gallery))
        _, numbers = self.index.search(queries.detach().float().cpu().numpy(), num_candidates)
        found = torch.from_numpy(numbers).to(queries.device)
        _, found = sort_lists(distances_of(queries, self.gallery, found), found)
        found = torch.nn.functional.pad(found, (0, k + 1 - num_candidates), value=-1)
        return found[:, :k] if own is None else drop_self(found, own)


def index_recall(
    embedded: Embedded, k: int, search: Prepare, sample: int = 1000, seed: int = 0
) -> float:
    """Share of the k nearest rows that a search finds among its k, over a sample of queries.

        recall@k = mean over queries q of |found_k(q) ∩ nearest_k(q)| / |nearest_k(q)|

        >>> rows = Embedded(torch.arange(8.0)[:, None])
        >>> index_recall(rows, 2, search=ExactSearch)
        1.0

    Args:
        embedded: The gallery, and the queries, each without itself.
        k: How far to look.
        search: What is measured, against `ExactSearch`.
        sample: How many queries are drawn.
        seed: Of the draw.

    Raises:
        ValueError: There are no embeddings, or they are not finite.
    """
    check_searchable(embedded)
    check_counts(k=k, sample=sample)
    shards, device = embedded.shards, embedded.embeddings.device
    generator = torch.Generator().manual_seed(whole(seed, "seed"))
    drawn = torch.randperm(shards.size, generator=generator)[:sample].to(device)
    local = shards.global_to_local(drawn)
    counts = torch.zeros(len(embedded.ids), dtype=torch.int64, device=device)
    counts[local[local >= 0]] = k
    exact, found = (
        torch.cat([drawn.new_empty(0, k), *(block for _, block in lists)])
        for lists in (neighbour_lists(embedded, None, counts, of) for of in (ExactSearch, search))
    )
    there = exact >= 0
    # Rows of lists are told apart by an offset each, larger than any position.
    offset = (shards.size + 1) * torch.arange(len(exact), device=device)[:, None]
    hits = torch.isin(exact + offset, found + offset) & there
    totals = shards.all_reduce(torch.stack([hits.sum(), there.sum()]).double())
    return float(totals[0] / totals[1])


def _check_rows(rows: Tensor) -> None:
    check_finite(rows)
    check_squares(torch.linalg.vector_norm(rows.float(), dim=1))


def index_name(kind: Kind, rows: int, dimensions: int, kept_as: str = "Flat") -> str:
    """What FAISS's `index_factory` calls an index of so many rows.

    Args:
        kind: As of `ApproximateSearch`.
        rows: How many there are, from which the number of cells follows.
        dimensions: Of each.
        kept_as: FAISS's name of what is kept of a row: `Flat`, `SQfp16`, `SQ8`, `RaBitQ`; IVFPQ has
            its own codes.

    Raises:
        ValueError: Too few rows to learn codes from.
    """
    if kind == "HNSW":
        return f"HNSW32,{kept_as}"
    if kind == "IVFFlat":
        return f"IVF{num_cells(rows)},{kept_as}"
    if rows < _CODES:
        raise ValueError(f"IVFPQ learns codes from {_CODES} rows or more, there are {rows}")
    bytes_a_row = max(1, dimensions // 4)
    while dimensions % bytes_a_row:
        bytes_a_row -= 1
    # np: without the training for polysemous codes, which nothing here uses and which takes longest
    return f"IVF{num_cells(rows)},PQ{bytes_a_row}np"


def num_cells(rows: int) -> int:
    """4√m; fewer where FAISS would not have the 39 rows a cell that it wants to learn it from."""
    return max(1, min(4 * math.isqrt(rows), rows // 39))
