"""Approximate nearest neighbours, for galleries too large to search exactly."""

import math
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ranklight.kernels.chunks import chunks
from ranklight.search.backends import faiss
from ranklight.search.exact import ExactSearch, rows_for, squared_distance, without
from ranklight.search.sharded import Prepare, ShardedSearch
from ranklight.search.shards import Shards

Kind = Literal["IVFFlat", "IVFPQ", "HNSW"]

_CODES = 256


class ApproximateSearch:
    """Most of the nearest rows of a gallery, by a FAISS index on the CPU.

    What the index finds is put into the order of `ExactSearch`, by float64 distance and index; what
    it misses is missing, so scores are too low by an unknown amount, which `index_recall` measures.

    Args:
        gallery: Rows to find.
        most: The largest k that will be asked for.
        kind: `IVFFlat`: rows in 4√m cells, of which `effort` are searched. `IVFPQ`: the same
            with rows kept as codes of one byte for four dimensions or more. `HNSW`: a graph of 32
            links a row, `effort` rows long in search.
        effort: More finds more and takes longer.

    Raises:
        ValueError: Another kind, or too few rows to learn codes from.
        ImportError: FAISS is not installed.
    """

    def __init__(
        self, gallery: Float[Tensor, "m d"], most: int, kind: Kind = "IVFFlat", effort: int = 32
    ) -> None:
        if kind not in get_args(Kind):
            raise ValueError(f"an approximate index is one of {get_args(Kind)}, not {kind!r}")
        if effort < 1:
            raise ValueError(f"an index is searched with an effort of 1 or more, not {effort}")
        if faiss is None:
            raise ImportError("an index needs FAISS: install faiss-cpu or faiss-gpu")
        self.gallery = gallery
        self.most = most
        rows = gallery.float().cpu().numpy()
        self.index = faiss.index_factory(gallery.shape[1], _factory(kind, *gallery.shape))
        self.index.train(rows)
        self.index.add(rows)
        # a graph is never searched shorter than the list that is wanted
        name, value = ("efSearch", max(effort, most + 1)) if kind == "HNSW" else ("nprobe", effort)
        faiss.ParameterSpace().set_index_parameter(self.index, name, value)

    def nearest(
        self, queries: Float[Tensor, "n d"], k: int, own: Int[Tensor, "n"] | None = None
    ) -> Int[Tensor, "n k"]:
        """Gallery indices of k near rows, nearest first; −1 where the index found fewer.

        Args:
            queries: What to find neighbours of.
            k: Neighbours a query, at most `most`.
            own: Each query's own place in the gallery, left out.
        """
        if k > self.most:
            raise ValueError(f"asked for {k} neighbours of a search prepared for {self.most}")
        asked = min(k + (own is not None), len(self.gallery))
        _, numbers = self.index.search(queries.float().cpu().numpy(), asked)
        found = self._in_order(queries, torch.from_numpy(numbers).to(queries.device))
        found = torch.nn.functional.pad(found, (0, k + 1 - asked), value=-1)
        return found[:, :k] if own is None else without(found, own)

    def _in_order(self, queries: Tensor, found: Tensor) -> Tensor:
        """By distance, then by index; what is missing last."""
        found = found.sort(dim=1).values
        row, column = (found >= 0).nonzero(as_tuple=True)
        distance = torch.full(found.shape, torch.inf, dtype=torch.float64, device=found.device)
        distance[row, column] = squared_distance(queries, row, self.gallery, found[row, column])
        return found.gather(1, distance.argsort(dim=1, stable=True))


def index_recall(
    embeddings: Float[Tensor, "n d"],
    k: int,
    search: Prepare,
    sample: int = 1000,
    seed: int = 0,
    shards: Shards | None = None,
) -> float:
    """Share of the k nearest rows that a search finds among its k, over a sample of queries.

        recall@k = mean over queries q of |found_k(q) ∩ nearest_k(q)| / |nearest_k(q)|

    Args:
        embeddings: The gallery, and the queries, each without itself.
        k: How far to look.
        search: What is measured, against `ExactSearch`.
        sample: How many queries are drawn.
        seed: Of the draw.
        shards: Which rows `embeddings` are, where ranks share them; all of them by default.
    """
    shards = shards or Shards.alone(len(embeddings))
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randperm(shards.size, generator=generator)[:sample].to(embeddings.device)
    local = shards.local(drawn)
    drawn, local = drawn[local >= 0], local[local >= 0]
    parts = list(chunks(len(local), rows_for(k)))
    lists = []
    for prepare in (ExactSearch, search):
        searcher = ShardedSearch(embeddings, shards, k, prepare)
        asked = ((embeddings[local[rows]], k, drawn[rows]) for rows in parts)
        lists.append(torch.cat([drawn.new_empty(0, k), *searcher.lists(asked)]))
    there = lists[0] >= 0
    offset = (shards.size + 1) * torch.arange(len(drawn), device=drawn.device)[:, None]
    hits = torch.isin(lists[0] + offset, lists[1] + offset) & there
    counts = shards.total(torch.stack([hits.sum(), there.sum()]).double())
    return float(counts[0] / counts[1])


def _factory(kind: Kind, rows: int, dimensions: int) -> str:
    """FAISS's name of the index."""
    if kind == "HNSW":
        return "HNSW32"
    # FAISS wants 39 rows a cell to learn it from, and 256 rows to learn codes from
    cells = max(1, min(4 * math.isqrt(rows), rows // 39))
    if kind == "IVFFlat":
        return f"IVF{cells},Flat"
    if rows < _CODES:
        raise ValueError(f"IVFPQ learns codes from {_CODES} rows or more, there are {rows}")
    bytes_a_row = max(1, dimensions // 4)
    while dimensions % bytes_a_row:
        bytes_a_row -= 1
    return f"IVF{cells},PQ{bytes_a_row}"
