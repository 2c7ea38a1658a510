"""Retrieval scores: pure functions of ranked relevance, and the search that ranks."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ranklight.search.exact import ExactSearch, check_finite, rows_for, use_symmetric_search
from ranklight.search.sharded import Prepare, ShardedSearch
from ranklight.search.shards import Shards, check_both_shared

Ranked = Float[Tensor, "n k"] | Bool[Tensor, "n k"]
Found = Int[Tensor, "n k"]


def recall_at_k(ranked_relevance: Ranked, relevant: Int[Tensor, "n"], k: int) -> Float[Tensor, "n"]:
    """Whether anything relevant is among the k nearest.

        Recall@K_i = max_{j ≤ K} [R_ij > 0]

    This is the **hit rate**, which metric learning calls Recall@K (Jégou, Douze, Schmid: Product
    Quantization for Nearest Neighbor Search, TPAMI 2011; Song et al., CVPR 2016, arXiv
    1511.06452). It is not the share of all relevant images that were found, the recall of
    information retrieval.

    Args:
        ranked_relevance: R_ij of the j-th nearest of query i; more than 0 is relevant.
        relevant: How many relevant images the gallery holds for each query, itself not counted.
        k: K, how far to look; larger is easier.

    Returns:
        1 or 0 a query in float64; nan where the gallery holds nothing relevant.

    Raises:
        ValueError: The ranking ends before K.
    """
    _check_ranked_to(ranked_relevance, k, f"recall@{k}")
    hit = (ranked_relevance[:, :k] > 0).any(1).double()
    return hit.masked_fill(relevant == 0, torch.nan)


def r_precision(ranked_relevance: Ranked, relevant: Int[Tensor, "n"]) -> Float[Tensor, "n"]:
    """Share of relevant images among the R nearest, R being all there are.

        R-precision_i = 1/R_i Σ_{j ≤ R_i} [R_ij > 0]

    Defined for metric learning as in Musgrave, Belongie, Lim: A Metric Learning Reality Check,
    ECCV 2020, arXiv 2003.08505.

    Args:
        ranked_relevance: R_ij of the j-th nearest of query i; more than 0 is relevant.
        relevant: R_i, how many relevant images the gallery holds, the query itself not counted.

    Returns:
        0..1 a query in float64; nan where the gallery holds nothing relevant.

    Raises:
        ValueError: The ranking ends before the largest R_i.
    """
    hits = _hits_within_r(ranked_relevance, relevant, "R-precision")
    return hits.sum(1) / relevant.double()


def map_at_r(ranked_relevance: Ranked, relevant: Int[Tensor, "n"]) -> Float[Tensor, "n"]:
    """Mean average precision at R: R-precision that also minds the order.

        MAP@R_i = 1/R_i Σ_{j ≤ R_i} [R_ij > 0] P_i(j),    P_i(j) = 1/j Σ_{l ≤ j} [R_il > 0]

    Musgrave, Belongie, Lim: A Metric Learning Reality Check, ECCV 2020, arXiv 2003.08505. Called
    mean_average_precision_at_r in pytorch-metric-learning.

    Args:
        ranked_relevance: R_ij of the j-th nearest of query i; more than 0 is relevant.
        relevant: R_i, how many relevant images the gallery holds, the query itself not counted.

    Returns:
        0..1 a query in float64; nan where the gallery holds nothing relevant.

    Raises:
        ValueError: The ranking ends before the largest R_i.
    """
    hits = _hits_within_r(ranked_relevance, relevant, "MAP@R")
    place = torch.arange(1, hits.shape[1] + 1, device=hits.device)
    precision = hits.cumsum(1) / place.double()
    return (precision * hits).sum(1) / relevant.double()


class QueryScores(NamedTuple):
    """Every score of every query; nan for a query with nothing relevant to find.

    Args:
        recall: One column for each K that was asked for.
        r_precision: R-precision.
        map_at_r: MAP@R.
    """

    recall: Float[Tensor, "n c"]
    r_precision: Float[Tensor, "n"]
    map_at_r: Float[Tensor, "n"]


def evaluate_retrieval(
    embeddings: Float[Tensor, "n d"],
    labels: Int[Tensor, "n"],
    ks: Sequence[int] = (1, 2, 4, 8),
    gallery: Float[Tensor, "m d"] | None = None,
    gallery_labels: Int[Tensor, "m"] | None = None,
    search: Prepare = ExactSearch,
    advance: Callable[[int], object] | None = None,
    shards: Shards | None = None,
    gallery_shards: Shards | None = None,
) -> dict[str, float]:
    """Mean scores of every embedding as a query: `recall@K`, `r_precision`, `map@r`, `queries`.

    Neighbours are exact and ordered by the rules of `search.exact.ExactSearch`: at equal
    distance the smaller index first, the query itself left out by its index. A query with nothing
    relevant in the gallery (a class with one image) is not counted, and stays in the gallery.
    Extra memory: one float32 copy of the gallery and a few blocks, never n × m.

    On several ranks each gives its share of the rows and says by `shards` which they are; every
    rank gets the numbers of one process, to the bit. Only labels and scores are gathered.

    Differs from pytorch-metric-learning's AccuracyCalculator in comparing labels as integers, where
    labels above 2²⁴ become equal there, and in removing a query by its index, where that takes the
    nearest one to be the query itself, which exact duplicates break.

    Args:
        embeddings: Queries, on any device; searched there.
        labels: Their classes, any integers.
        ks: Every K of Recall@K. K beyond the gallery looks at all of it.
        gallery: Where to look; among the other embeddings by default.
        gallery_labels: The gallery's classes.
        search: Prepares the gallery: exact, or a `search.ApproximateSearch`.
        advance: Called with the number of queries each time that some are done.
        shards: Which rows `embeddings` are, where ranks share them; all of them by default.
        gallery_shards: The same of a gallery of its own.

    Returns:
        Fractions 0..1, nan if no query counts, and how many counted under `queries`.

    Raises:
        ValueError: Embeddings are not finite, labels do not match them, or K is under 1.
    """
    own = score_queries(
        *(embeddings, labels, ks, gallery, gallery_labels, search, advance, shards),
        gallery_shards,
    )
    shards = shards or Shards.alone(len(embeddings))
    scores = QueryScores(*(shards.whole(column.contiguous()) for column in own))
    means = {f"recall@{k}": scores.recall[:, i] for i, k in enumerate(ks)}
    means |= {"r_precision": scores.r_precision, "map@r": scores.map_at_r}
    queries = (~scores.r_precision.isnan()).sum().item()
    return {name: score.nanmean().item() for name, score in means.items()} | {"queries": queries}


def score_queries(
    embeddings: Float[Tensor, "n d"],
    labels: Int[Tensor, "n"],
    ks: Sequence[int] = (1, 2, 4, 8),
    gallery: Float[Tensor, "m d"] | None = None,
    gallery_labels: Int[Tensor, "m"] | None = None,
    search: Prepare = ExactSearch,
    advance: Callable[[int], object] | None = None,
    shards: Shards | None = None,
    gallery_shards: Shards | None = None,
) -> QueryScores:
    """Scores of each query, whose means `evaluate_retrieval` takes; the arguments are the same.

    Queries are searched in the order of R_i, in blocks whose k is the largest that one of them
    needs, max(R_i, K), and are reduced to scores at once: one huge class does not make the others'
    lists long, and nothing of size n × k is kept. Where all lists are short and the queries are the
    gallery, on the CPU, they are searched all at once, which takes half the products.
    """
    if gallery is not None:
        check_both_shared(shards, gallery_shards)
    shards = shards or Shards.alone(len(embeddings))
    _check(embeddings, labels, ks, gallery, gallery_labels, shards)
    among, among_labels = embeddings, labels
    if gallery is not None and gallery_labels is not None:
        among, among_labels = gallery, gallery_labels
        gallery_shards = gallery_shards or Shards.alone(len(gallery))
    found_labels = (gallery_shards or shards).whole(among_labels)
    relevant = _count(labels, found_labels) - int(gallery is None)
    scores = embeddings.new_full((len(labels), len(ks) + 2), torch.nan, dtype=torch.float64)
    most = shards.largest(int(relevant.max()) if len(relevant) else 0)
    if most == 0:
        return QueryScores(scores[:, :-2], scores[:, -2], scores[:, -1])
    longest = max(most, *ks)
    alone = gallery is None and shards.ranks == 1
    if alone and search is ExactSearch and use_symmetric_search(embeddings, longest):
        lists = _in_order(ExactSearch(embeddings, longest).all_nearest(longest))
    else:
        searcher = ShardedSearch(among, gallery_shards or shards, longest, search)
        own = None if gallery is not None else shards.own.to(labels.device)
        lists = _as_needed(searcher, embeddings, own, relevant, max(ks))
    for query, found in lists:
        hits = (found_labels[found] == labels[query, None]) & (found >= 0)
        scores[query] = _score(hits, relevant[query], ks)
        if advance is not None:
            advance(len(query))
    return QueryScores(scores[:, :-2], scores[:, -2], scores[:, -1])


def _score(
    hits: Bool[Tensor, "n k"], relevant: Int[Tensor, "n"], ks: Sequence[int]
) -> Float[Tensor, "n c"]:
    columns = [recall_at_k(hits, relevant, k) for k in ks]
    return torch.stack([*columns, r_precision(hits, relevant), map_at_r(hits, relevant)], 1)


def _in_order(lists: Iterable[Found]) -> Iterator[tuple[Tensor, Found]]:
    """Lists of all queries in their order, each block with its queries."""
    start = 0
    for found in lists:
        yield torch.arange(start, start + len(found)), found
        start += len(found)


def _as_needed(
    searcher: ShardedSearch,
    embeddings: Float[Tensor, "n d"],
    own: Int[Tensor, "n"] | None,
    relevant: Int[Tensor, "n"],
    least: int,
) -> Iterator[tuple[Tensor, Found]]:
    """Blocks of the queries that count, with lists as long as one of the block needs."""
    blocks = list(_by_need(relevant, least))
    asked = (
        (
            embeddings[query],
            max(int(relevant[query[-1]]), least),
            None if own is None else own[query],
        )
        for query in blocks
    )
    yield from zip(blocks, searcher.lists(asked), strict=True)


def _by_need(relevant: Int[Tensor, "n"], least: int) -> Iterator[Int[Tensor, "b"]]:
    """Blocks of queries, in the order of their need, whose lists of neighbours stay small."""
    order = relevant.argsort(stable=True)
    order = order[relevant[order] > 0]
    need = relevant[order].clamp(min=least).tolist()
    start = 0
    while start < len(need):
        rows = rows_for(need[start])
        rows = rows_for(need[min(start + rows, len(need)) - 1])
        yield order[start : start + rows]
        start += rows


def _count(labels: Int[Tensor, "n"], among: Int[Tensor, "m"]) -> Int[Tensor, "n"]:
    """How often each label occurs among others."""
    values, counts = torch.unique(among, return_counts=True)
    place = torch.searchsorted(values, labels.contiguous()).clamp(max=len(values) - 1)
    return torch.where(values[place] == labels, counts[place], 0)


def _check(
    embeddings: Tensor,
    labels: Tensor,
    ks: Sequence[int],
    gallery: Tensor | None,
    gallery_labels: Tensor | None,
    shards: Shards,
) -> None:
    if len(embeddings) != len(labels):
        raise ValueError(f"{len(embeddings)} embeddings came with {len(labels)} labels")
    if not ks or min(ks) < 1:
        raise ValueError(f"Recall@K needs at least one K, each 1 or more, not {tuple(ks)}")
    if (gallery is None) != (gallery_labels is None):
        raise ValueError("gallery and gallery_labels belong together: give both or neither")
    if gallery is not None and gallery_labels is not None and len(gallery) != len(gallery_labels):
        raise ValueError(f"{len(gallery)} gallery rows came with {len(gallery_labels)} labels")
    check_finite(embeddings, shards)


def _check_ranked_to(ranked_relevance: Tensor, k: int, score: str) -> None:
    if ranked_relevance.shape[1] < k:
        raise ValueError(
            f"{score} looks at {k} neighbours, the ranking holds {ranked_relevance.shape[1]}"
        )


def _hits_within_r(ranked_relevance: Tensor, relevant: Tensor, score: str) -> Bool[Tensor, "n k"]:
    most = int(relevant.max()) if len(relevant) else 0
    _check_ranked_to(ranked_relevance, most, score)
    place = torch.arange(most, device=relevant.device)
    return (ranked_relevance[:, :most] > 0) & (place < relevant[:, None])
