"""Scores of a ranking under continuous labels: how near the labels of what was found are."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from ranklight.kernels.chunks import chunks
from ranklight.pairs.relevance import LabelCloseness
from ranklight.search.exact import ExactSearch, check_finite
from ranklight.search.sharded import Prepare, ShardedSearch
from ranklight.search.shards import Block, Shards, check_both_shared

Relevance = Callable[[Tensor, Tensor], Tensor]

_ELEMENTS = 1 << 22


def label_distance_at_k(ranked_relevance: Float[Tensor, "n m"], k: int) -> Float[Tensor, "n"]:
    """Mean label distance to the k nearest.

        MLD@K_i = 1/K Σ_{j ≤ K} d_ij,    d = 1 − R

    Kim et al., CVPR 2019, arXiv 1904.09626; their code's numbers for poses are times 224/288, the
    scale of their crops.

    Args:
        ranked_relevance: R_ij of the j-th nearest of query i.
        k: K; beyond the ranking all of it counts.
    """
    return (1 - ranked_relevance[:, :k].double()).mean(1)


def closeness_ndcg_at_k(
    ranked_relevance: Float[Tensor, "n m"], ideal_relevance: Float[Tensor, "n l"], k: int
) -> Float[Tensor, "n"]:
    """Discounted gain of the k nearest over that of the k nearest by label.

        nDCG@K_i = Σ_{j ≤ K} g(d_ij) / log₂(j + 1) / the same in the order of d,  g(d) = 1 / (1 + d)

    Kim et al., CVPR 2019, arXiv 1904.09626: 2^r with r = −log₂(d + 1) is this gain. It depends on
    the unit of d: where all distances are far below 1 every order scores near 1, as the chance row
    of `evaluate_label_distances` shows.

    Args:
        ranked_relevance: R_ij = 1 − d_ij of the j-th nearest of query i.
        ideal_relevance: The largest R of each query, descending.
        k: K; beyond the ranking all of it counts.
    """
    discount = _discount(min(k, ranked_relevance.shape[1]), ranked_relevance.device)
    gained = _gain(1 - ranked_relevance[:, :k].double()) @ discount
    ideal: Tensor = _gain(1 - ideal_relevance[:, :k].double()) @ discount
    return gained / ideal


def rank_correlation(
    distance: Float[Tensor, "n m"], label_distance: Float[Tensor, "n m"]
) -> Float[Tensor, "n"]:
    """Spearman's correlation of two distances of each query, ties sharing their mean rank.

    Returns:
        −1..1; 0 where all embedding distances are equal (nothing was ranked), nan where all label
        distances are.
    """
    ours, theirs = (_mean_ranks(values) for values in (distance, label_distance))
    ours, theirs = (ranks - ranks.mean(1, keepdim=True) for ranks in (ours, theirs))
    spread = ours.norm(dim=1) * theirs.norm(dim=1)
    correlation: Tensor = (ours * theirs).sum(1) / spread.clamp(min=1e-300)
    return correlation.masked_fill((theirs == 0).all(1), torch.nan)


class LabelDistanceScores(NamedTuple):
    """Every score of every query, one column for each K.

    Args:
        distance: Mean label distance at K of the search, of the best order (oracle), and what a
            random order expects (chance).
        ndcg: nDCG@K of the search, 1, and what a random order expects.
        spearman: Correlation of the two orders of the whole gallery, or nan if not asked for.
    """

    distance: Float[Tensor, "n 3 c"]
    ndcg: Float[Tensor, "n 3 c"]
    spearman: Float[Tensor, "n"]


def evaluate_label_distances(
    queries: Float[Tensor, "n d"],
    query_labels: Shaped[Tensor, "n ..."],
    gallery: Float[Tensor, "m d"],
    gallery_labels: Shaped[Tensor, "m ..."],
    ks: Sequence[int] = (1, 10, 100),
    relevance: Relevance | None = None,
    spearman: bool = True,
    search: Prepare = ExactSearch,
    advance: Callable[[int], object] | None = None,
    shards: Shards | None = None,
    gallery_shards: Shards | None = None,
) -> dict[str, float]:
    """Mean scores of all queries: `label_distance@K`, `ndcg@K` and `spearman`.

    Beside each stands `.../oracle`, its value when the gallery is ordered by label distance, and
    `.../chance`, its exact expectation over all orders. The search is that of `ExactSearch`, exact
    and with one rule for ties on every device; labels are compared in blocks of queries, and
    nothing of size n × m is kept. Spearman's correlation needs two sorts of the gallery a query.
    On several ranks each gives its share of the rows, and all get the numbers of one process; only
    labels and scores are gathered.

    Args:
        queries: Embeddings of what to look for.
        query_labels: Their labels, whatever `relevance` takes.
        gallery: Where to look; holds no query.
        gallery_labels: Its labels.
        ks: Every K; K beyond the gallery looks at all of it.
        relevance: From two sets of labels to R = 1 − label distance; `LabelCloseness()` by default.
        spearman: Whether to correlate.
        search: Prepares the gallery: exact, or a `search.ApproximateSearch`.
        advance: Called with the number of queries each time that some are searched.
        shards: Which rows `queries` are, where ranks share them; all of them by default.
        gallery_shards: The same of the gallery.

    Raises:
        ValueError: Embeddings or label distances are not finite, no query, or K is under 1.
    """
    own = score_label_distances(
        *(queries, query_labels, gallery, gallery_labels, ks, relevance, spearman, search),
        *(advance, shards, gallery_shards),
    )
    shards = shards or Shards.alone(len(queries))
    scores = LabelDistanceScores(*(shards.whole(column.contiguous()) for column in own))
    means = {}
    for name, values in (("label_distance", scores.distance), ("ndcg", scores.ndcg)):
        for place, row in enumerate(("", "/oracle", "/chance")):
            for column, k in enumerate(ks):
                means[f"{name}@{k}{row}"] = values[:, place, column].mean().item()
    if spearman:
        rows = {"spearman": scores.spearman.nanmean().item()}
        means |= rows | {"spearman/oracle": 1.0, "spearman/chance": 0.0}
    return means


def score_label_distances(
    queries: Float[Tensor, "n d"],
    query_labels: Shaped[Tensor, "n ..."],
    gallery: Float[Tensor, "m d"],
    gallery_labels: Shaped[Tensor, "m ..."],
    ks: Sequence[int] = (1, 10, 100),
    relevance: Relevance | None = None,
    spearman: bool = True,
    search: Prepare = ExactSearch,
    advance: Callable[[int], object] | None = None,
    shards: Shards | None = None,
    gallery_shards: Shards | None = None,
) -> LabelDistanceScores:
    """Scores of each query, whose means `evaluate_label_distances` takes; the same arguments."""
    check_both_shared(shards, gallery_shards)
    shards = shards or Shards.alone(len(queries))
    gallery_shards = gallery_shards or Shards.alone(len(gallery))
    _check(queries, query_labels, gallery, gallery_labels, ks, shards, gallery_shards)
    relevance = relevance or LabelCloseness()
    among = gallery_shards.whole(gallery_labels)
    most = min(max(ks), len(among))
    searcher = ShardedSearch(gallery, gallery_shards, most, search)
    parts = list(chunks(len(queries), max(1, _ELEMENTS // len(among))))
    scores = _unscored(queries, len(ks))
    lists = searcher.lists((queries[rows], most, None) for rows in parts)
    for found, rows in zip(lists, parts, strict=True):
        closeness = relevance(query_labels[rows], among)
        _check_relevance(closeness, rows.start)
        scores.distance[rows], scores.ndcg[rows] = _score(closeness, closeness.gather(1, found), ks)
        if advance is not None:
            advance(len(found))
    if spearman:
        distances = _squared_distances(queries, gallery, gallery_shards, parts)
        for distance, rows in zip(distances, parts, strict=True):
            label_distance = 1 - relevance(query_labels[rows], among)
            scores.spearman[rows] = rank_correlation(distance, label_distance)
    return scores


def _unscored(queries: Tensor, ks: int) -> LabelDistanceScores:
    of_k = queries.new_empty((2, len(queries), 3, ks), dtype=torch.float64)
    return LabelDistanceScores(of_k[0], of_k[1], of_k.new_full((len(queries),), torch.nan))


def _score(
    closeness: Float[Tensor, "b m"], ranked: Float[Tensor, "b k"], ks: Sequence[int]
) -> tuple[Float[Tensor, "b 3 c"], Float[Tensor, "b 3 c"]]:
    best = closeness.topk(ranked.shape[1], dim=1).values
    distance = 1 - closeness.double()
    mean_distance, mean_gain = distance.mean(1), _gain(distance).mean(1)
    distances, ndcgs = [], []
    for k in ks:
        ideal = _gain(1 - best[:, :k].double())
        discount = _discount(ideal.shape[1], ideal.device)
        ndcg = closeness_ndcg_at_k(ranked, best, k)
        chance = mean_gain * discount.sum() / (ideal @ discount)
        ndcgs.append(torch.stack([ndcg, torch.ones_like(ndcg), chance], 1))
        rows = [label_distance_at_k(ranked, k), label_distance_at_k(best, k), mean_distance]
        distances.append(torch.stack(rows, 1))
    return torch.stack(distances, 2), torch.stack(ndcgs, 2)


def _gain(distance: Tensor) -> Tensor:
    return 1 / (1 + distance.clamp(min=0))


def _discount(k: int, device: torch.device) -> Tensor:
    return 1 / torch.arange(2, k + 2, dtype=torch.float64, device=device).log2()


def _squared_distances(
    queries: Float[Tensor, "n d"],
    gallery: Float[Tensor, "m d"],
    gallery_shards: Shards,
    parts: Sequence[slice],
) -> Iterator[Float[Tensor, "b size"]]:
    """‖q − g‖² − ‖q‖² to the gallery of all ranks, in float64, for each block of queries."""
    points = gallery.double()
    own = gallery_shards.own.to(gallery.device)

    def visit(block: Block) -> Block:
        rows, distance = block
        distance[:, own] = points.square().sum(1) - 2 * rows.double() @ points.T
        return rows, distance

    asked = (
        (queries[rows], points.new_empty(rows.stop - rows.start, gallery_shards.size))
        for rows in parts
    )
    return (distance for _, distance in gallery_shards.go_round(asked, visit))


def _mean_ranks(values: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
    order = values.argsort(1)
    ordered = values.gather(1, order)
    begins = torch.ones_like(order, dtype=torch.bool)
    begins[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    place = torch.arange(values.shape[1], device=values.device).expand_as(order)
    start = torch.where(begins, place, 0).cummax(1).values
    tied = torch.zeros_like(start).scatter_add_(1, start, torch.ones_like(start)).gather(1, start)
    ranks = start.double() + (tied - 1) / 2
    return torch.empty_like(ranks).scatter_(1, order, ranks)


def _check_relevance(closeness: Float[Tensor, "b m"], first: int) -> None:
    broken = ~closeness.isfinite().all(1)
    if broken.any():
        row = first + int(broken.nonzero()[0])
        raise ValueError(f"label distances of query {row} hold NaN or infinity: check its label")


def _check(
    queries: Tensor,
    query_labels: Tensor,
    gallery: Tensor,
    gallery_labels: Tensor,
    ks: Sequence[int],
    shards: Shards,
    gallery_shards: Shards,
) -> None:
    for name, rows, labels, of in (
        ("queries", queries, query_labels, shards),
        ("gallery rows", gallery, gallery_labels, gallery_shards),
    ):
        if of.size == 0 or len(rows) != len(labels):
            raise ValueError(f"{len(rows)} {name} came with {len(labels)} labels")
        check_finite(rows, of)
    if not ks or min(ks) < 1:
        raise ValueError(f"at least one K is needed, each 1 or more, not {tuple(ks)}")
