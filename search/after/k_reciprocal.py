"""Candidates in the order of how many neighbours they share with the query."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ranklight.kernels.checks import check_counts
from ranklight.kernels.chunks import chunks
from ranklight.search.after.neighbour_sum import nearest_rows
from ranklight.search.after.reciprocal_sets import (
    Sets,
    averaged_sets,
    jaccard_distance,
    reciprocal_sets,
)
from ranklight.search.after.rows_of_ranks import distances_to, rows_at
from ranklight.search.after.step import Retrieval, Step
from ranklight.search.embedded import Embedded, check_searchable, own_positions
from ranklight.search.neighbours import AnySearch, Lists, neighbour_lists
from ranklight.search.order import sort_lists
from ranklight.search.shards import Shards

_ELEMENTS = 1 << 20
_ROWS = 4096


class KReciprocal(Step):
    """The first candidates of each query by the neighbours that query and candidate share.

        d*(q, g) = (1 − λ) d_J(q, g) + λ d(q, g)
        d_J(q, g) = 1 − Σ_j min(V_qj, V_gj) / Σ_j max(V_qj, V_gj)

    N(p, k): p and its k nearest. R(p, k) = {g ∈ N(p, k): p ∈ N(g, k)}. R*(p, k₁) adds to R(p, k₁)
    every R(q, ½k₁) of a q in it of which two thirds or more are in R(p, k₁). V_pg = exp(−d(p, g))
    for g in R*(p, k₁), over their sum, and then V_p the mean of V over the first k₂ of N(p, k₁).
    Zhong, Zheng, Cao & Li, Re-ranking person re-identification with k-reciprocal encoding, CVPR
    2017, arXiv:1701.08398; its defaults.

    The released code works on the N × N matrix of queries and gallery together. Here as there the
    neighbours are those among queries and gallery; but only the first `candidates` of a query are
    reordered, what follows them stays, and V is kept as its sets. There d is the squared distance
    over the largest of its row, which takes all N × N; here d = 1 − S = ½‖p − g‖², which for unit
    embeddings has about that size. There more than two thirds must be shared, here at least as
    many, as in the paper. A row leads its own list, also before its copies. At equal d* the smaller
    index comes first.

    The same bits on any number of ranks. Searches every query and gallery row. Memory: 8·k₁ bytes
    of each of them on every rank; of a rank's own 16·w bytes, w the largest set (at most
    ½(k₁ + 2)²·k₂), and 16·candidates bytes a query.

        >>> rows = Embedded(torch.tensor([[0.0], [1.0], [1.1], [1.2]]))
        >>> again = KReciprocal(k1=2, k2=1, distance_weight=0.0)(Retrieval(rows))
        >>> again.search.first
        tensor([[ 1,  2,  3, -1],
                [ 2,  3,  0, -1],
                [ 1,  3,  0, -1],
                [ 2,  1,  0, -1]])

    Args:
        k1: k₁, about as many as are right for a query.
        k2: k₂, how many sets are averaged; 1 averages none.
        distance_weight: λ, 0..1; 1 leaves the order as it is.
        candidates: How many of each query's list are reordered; more takes longer and finds more.
        name: What its scores are logged under; several of a kind need one each.

    Raises:
        ValueError: A number is below 1, λ is not 0..1, or k₂ is above k₁ + 1.
    """

    def __init__(
        self,
        k1: int = 20,
        k2: int = 6,
        distance_weight: float = 0.3,
        candidates: int = 100,
        name: str = "k_reciprocal",
    ) -> None:
        check_counts(k1=k1, k2=k2, candidates=candidates)
        if not 0 <= distance_weight <= 1:
            raise ValueError(f"distance_weight must be 0 to 1; got {distance_weight}")
        if k2 > k1 + 1:
            raise ValueError(f"k2 averages over the first of k1 + 1 = {k1 + 1} rows; got {k2}")
        self.name = name
        self.k1 = k1
        self.k2 = k2
        self.distance_weight = distance_weight
        self.candidates = candidates

    def __call__(self, retrieval: Retrieval) -> Retrieval:
        """The same embeddings, and a search that has their lists."""
        queries, gallery, search = retrieval
        check_searchable(queries, gallery)
        among = queries if gallery is None else gallery
        found = nearest_rows(queries, gallery, self.candidates, search)
        pool, places = _pool(queries, gallery)
        near = nearest_rows(pool, None, self.k1, search)
        near = torch.cat([pool.shards.own.to(near.device)[:, None], near], 1)
        sets = reciprocal_sets(pool, near, self.k1)
        if self.k2 > 1:
            sets = averaged_sets(sets, near[:, : self.k2], pool.shards)
        distance = (1 - self.distance_weight) * _jaccard(sets, pool.shards, places, found)
        distance += self.distance_weight * _distances(queries, among, found)
        _, first = sort_lists(distance.masked_fill(found < 0, torch.inf), found)
        return Retrieval(queries, gallery, Reranked(queries, gallery, first, search))


class Reranked:
    """Lists that begin with the reordered candidates, and go on as they were.

    Args:
        queries: Whose lists these are.
        gallery: Where they were searched.
        first: The candidates of each query in their new order; −1 past the end.
        search: Finds what follows them.
    """

    def __init__(
        self,
        queries: Embedded,
        gallery: Embedded | None,
        first: Int[Tensor, "n k"],
        search: AnySearch,
    ) -> None:
        self.queries = queries
        self.gallery = gallery
        self.first = first
        self.search = search

    def lists(self, queries: Embedded, gallery: Embedded | None, counts: Int[Tensor, "n"]) -> Lists:
        """Lists of those that are asked for.

        Raises:
            ValueError: These are not the embeddings whose lists were reordered.
        """
        if not (_same_rows(queries, self.queries) and _same_rows(gallery, self.gallery)):
            raise ValueError(
                "lists were re-ranked for other embeddings: re-ranking is the last step of a chain"
            )
        return self._lists(queries, gallery, counts.long())

    def _lists(self, queries: Embedded, gallery: Embedded | None, counts: Tensor) -> Lists:
        length = self.first.shape[1]
        short = (counts > 0) & (counts <= length)
        rows = short.nonzero().squeeze(1)
        for part in chunks(len(rows), _ROWS):
            yield rows[part], self.first[rows[part]]
        longer = counts.masked_fill(short, 0)
        for row, found in neighbour_lists(queries, gallery, longer, self.search):
            yield row, torch.cat([self.first[row], found[:, length:]], 1)


def _same_rows(one: Embedded | None, other: Embedded | None) -> bool:
    """Whether one tensor holds the embeddings of both; their labels may be others."""
    if one is None or other is None:
        return one is other
    return one.embeddings.is_set_to(other.embeddings)


def _pool(queries: Embedded, gallery: Embedded | None) -> tuple[Embedded, Int[Tensor, "n"]]:
    """Gallery and, after it, queries that are not in it; and where each query is. Collective."""
    own = own_positions(queries, gallery)
    if gallery is None:
        return Embedded(queries.embeddings, shards=queries.shards), own
    beside = queries.shards.all_gather((own < 0).byte()).bool()
    numbers = gallery.shards.size - 1 + beside.long().cumsum(0)
    positions = []
    for of_gallery, of_queries in zip(
        gallery.shards.positions, queries.shards.positions, strict=True
    ):
        asked = of_queries.to(beside.device)
        added = numbers[asked][beside[asked]]
        positions.append(torch.cat([of_gallery, added.to(of_gallery.device)]))
    rows = torch.cat([gallery.embeddings, queries.embeddings[own < 0].to(gallery.embeddings)])
    places = torch.where(own < 0, numbers[queries.shards.own.to(own.device)], own)
    return Embedded(rows, shards=Shards(positions, gallery.shards.rank)), places


def _distances(
    queries: Embedded, among: Embedded, found: Int[Tensor, "n k"]
) -> Float[Tensor, "n k"]:
    """1 − S of each query and its list; collective."""
    parts = _parts(found, queries.embeddings.shape[1])
    distance = torch.zeros(found.shape, dtype=torch.float64, device=found.device)
    blocks = ((part, found[part]) for part in parts)
    of_blocks = distances_to(queries.embeddings, among.embeddings, among.shards, blocks)
    for part, of in zip(parts, of_blocks, strict=True):
        distance[part] = (of / 2).masked_fill(found[part] < 0, 0)
    return distance


def _jaccard(
    sets: Sets, shards: Shards, places: Int[Tensor, "n"], found: Int[Tensor, "n k"]
) -> Float[Tensor, "n k"]:
    """d_J of each query and its list; collective."""
    distance = torch.ones(found.shape, dtype=torch.float64, device=found.device)
    both = torch.cat([places[:, None], found], 1)
    parts = _parts(both, sets.members.shape[1])
    taken = rows_at(sets, shards, (both[part] for part in parts))
    for part, (members, weights) in zip(parts, taken, strict=True):
        one = Sets(members[:, 0].contiguous(), weights[:, 0])
        others = Sets(members[:, 1:].flatten(1), weights[:, 1:].flatten(1))
        distance[part] = jaccard_distance(one, others, found.shape[1])
    return distance


def _parts(lists: Int[Tensor, "n k"], width: int) -> list[slice]:
    return list(chunks(len(lists), max(1, _ELEMENTS // (lists.shape[1] * width))))
