"""Scores of a ranking under continuous labels: how near the labels of what was found are."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from ranklight.kernels.checks import check_counts, check_values_are_there
from ranklight.kernels.chunks import chunks
from ranklight.metrics.checks import check_floats, check_ks, real_matrix
from ranklight.pairs.relevance import LabelCloseness
from ranklight.search.embedded import Embedded, check_searchable, own_positions
from ranklight.search.exact import ExactSearch
from ranklight.search.neighbours import Prepare, neighbour_lists

Relevance = Callable[[Tensor, Tensor], Tensor]

_ELEMENTS = 1 << 22


def label_distance_at_k(ranked_relevance: Float[Tensor, "n m"], k: int) -> Float[Tensor, "n"]:
    """Mean label distance to the k nearest.

        MLD@K_i = 1/K Σ_{j ≤ K} d_ij,    d = 1 − R

    Kim et al., CVPR 2019, arXiv 1904.09626; their code's numbers for poses are times 224/288, the
    scale of their crops.

        >>> label_distance_at_k(torch.tensor([[1.0, -2.0, 0.5]]), k=2)
        tensor([1.5000], dtype=torch.float64)

    Args:
        ranked_relevance: R_ij of the j-th nearest of query i.
        k: K; beyond the ranking all of it counts.

    Raises:
        TypeError: The ranking is no tensor of real numbers, or K no whole number.
        ValueError: The ranking is no matrix with a column at least, or K is below 1.
    """
    check_counts(k=k)
    ranked_relevance = _ranking(ranked_relevance)
    return (1 - ranked_relevance[:, :k].double()).mean(1)


def closeness_ndcg_at_k(
    ranked_relevance: Float[Tensor, "n m"], ideal_relevance: Float[Tensor, "n l"], k: int
) -> Float[Tensor, "n"]:
    """Discounted gain of the k nearest over that of the k nearest by label.

        nDCG@K_i = Σ_{j ≤ K} g(d_ij) / log₂(j + 1) / the same in the order of d,  g(d) = 1 / (1 + d)

    Kim et al., CVPR 2019, arXiv 1904.09626: 2^r with r = −log₂(d + 1) is this gain. It depends on
    the unit of d: where all distances are far below 1 every order scores near 1, as the chance row
    of `evaluate_label_distances` shows.

        >>> found, ideal = torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 0.0]])
        >>> closeness_ndcg_at_k(found, ideal, k=2)
        tensor([0.8597], dtype=torch.float64)

    Args:
        ranked_relevance: R_ij = 1 − d_ij of the j-th nearest of query i.
        ideal_relevance: The largest R of each query, descending.
        k: K; beyond the ranking all of it counts.

    Raises:
        TypeError: A ranking is no tensor of real numbers, or K no whole number.
        ValueError: Rankings are no matrices of the same queries with a column at least, the ideal
            one ends before the other, or K is below 1.
    """
    check_counts(k=k)
    check_values_are_there(ranked_relevance=ranked_relevance, ideal_relevance=ideal_relevance)
    ranked_relevance, ideal_relevance = _ranking(ranked_relevance), _ranking(ideal_relevance)
    k = min(k, ranked_relevance.shape[1])
    if len(ideal_relevance) != len(ranked_relevance) or ideal_relevance.shape[1] < k:
        raise ValueError(
            f"ideal_relevance needs a row a query and {k} columns; got "
            f"{list(ideal_relevance.shape)} beside {list(ranked_relevance.shape)}"
        )
    discount = _discount(k, ranked_relevance.device)
    gained = _gain(1 - ranked_relevance[:, :k].double()) @ discount
    ideal: Tensor = _gain(1 - ideal_relevance[:, :k].double()) @ discount
    return gained / ideal


class LabelDistanceScores(NamedTuple):
    """Every score of every query, one column for each K.

        >>> rows = Embedded(torch.tensor([[0.0], [1.0]]), torch.tensor([0.0, 3.0]))
        >>> score_label_distances(rows, rows, ks=(1, 2)).ndcg.shape
        torch.Size([2, 3, 2])

    Args:
        distance: Mean label distance at K of the search, of the best order (oracle), and what a
            random order expects (chance).
        ndcg: nDCG@K of the search, of the best order, which is 1, and what a random order expects.
    """

    distance: Float[Tensor, "n 3 c"]
    ndcg: Float[Tensor, "n 3 c"]

    def columns(self, ks: Sequence[int]) -> dict[str, Float[Tensor, "n"]]:
        """Each score under the name that its mean has in `evaluate_label_distances`."""
        if len(ks) != self.distance.shape[2]:
            raise ValueError(
                f"scores of {self.distance.shape[2]} Ks cannot be named by {len(ks)}: {tuple(ks)}"
            )
        return {
            f"{name}@{k}{suffix}": values[:, order, column]
            for name, values in (("label_distance", self.distance), ("ndcg", self.ndcg))
            for order, suffix in enumerate(("", "/oracle", "/chance"))
            for column, k in enumerate(ks)
        }


def evaluate_label_distances(
    queries: Embedded,
    gallery: Embedded | None = None,
    ks: Sequence[int] = (1, 10, 100),
    relevance: Relevance | None = None,
    search: Prepare = ExactSearch,
    advance: Callable[[int], object] | None = None,
) -> dict[str, float]:
    """Mean scores of all queries: `label_distance@K` and `ndcg@K`.

    `label_distance@K` is the mean of `label_distance_at_k`, smaller is better; `ndcg@K` that of
    `closeness_ndcg_at_k`, larger is better. Beside each stands `.../oracle`, its value when the
    gallery is ordered by label distance, and `.../chance`, its exact expectation over all orders.
    The search is that of `ExactSearch`, exact and with one rule for ties on every device; labels
    are compared in blocks of queries, and nothing of size n × m is kept. On several ranks each
    gives its share of the rows, and all get the numbers of one process; only labels and scores are
    gathered.

        >>> queries = Embedded(torch.tensor([[0.0]]), torch.tensor([0.0]))
        >>> gallery = Embedded(torch.tensor([[1.0], [2.0]]), torch.tensor([4.0, 1.0]))
        >>> scores = evaluate_label_distances(queries, gallery, ks=(1,))
        >>> {name: score for name, score in scores.items() if "label_distance" in name}
        {'label_distance@1': 4.0, 'label_distance@1/oracle': 1.0, 'label_distance@1/chance': 2.5}

    Args:
        queries: What to look for, with labels of whatever kind `relevance` takes.
        gallery: Where to look; among the other queries by default. A query that is part of it, by
            the ids that both were given, is left out for itself.
        ks: Every K; K beyond the gallery looks at all of it.
        relevance: From two sets of labels to R = 1 − label distance; `LabelCloseness()` by default.
        search: Prepares the gallery: exact, or a `search.ApproximateSearch`.
        advance: Called with the number of queries each time that some are searched.

    Raises:
        ValueError: Embeddings are not finite or of two dimensions, label distances are not finite,
            a side is empty, or K is under 1.
    """
    scores = score_label_distances(queries, gallery, ks, relevance, search, advance)
    return average_label_distances(queries, scores, ks)


def average_label_distances(
    queries: Embedded, scores: LabelDistanceScores, ks: Sequence[int]
) -> dict[str, float]:
    """What `evaluate_label_distances` gives, of scores that are there already; collective.

    >>> rows = Embedded(torch.tensor([[0.0], [1.0]]), torch.tensor([0.0, 3.0]))
    >>> scores = score_label_distances(rows, rows, ks=(2,))
    >>> average_label_distances(rows, scores, ks=(2,))["label_distance@2"]
    1.5
    """
    check_floats([len(queries.ids), 3, len(ks)], distance=scores.distance, ndcg=scores.ndcg)
    every = LabelDistanceScores(*(queries.shards.all_gather(column) for column in scores))
    return {name: score.mean().item() for name, score in every.columns(ks).items()}


def score_label_distances(
    queries: Embedded,
    gallery: Embedded | None = None,
    ks: Sequence[int] = (1, 10, 100),
    relevance: Relevance | None = None,
    search: Prepare = ExactSearch,
    advance: Callable[[int], object] | None = None,
) -> LabelDistanceScores:
    """Scores of each query, whose means `evaluate_label_distances` takes; the same arguments.

    >>> queries = Embedded(torch.tensor([[0.0], [9.0]]), torch.tensor([0.0, 0.0]))
    >>> gallery = Embedded(torch.tensor([[1.0], [7.0]]), torch.tensor([4.0, 1.0]))
    >>> score_label_distances(queries, gallery, ks=(1,)).distance[:, 0]
    tensor([[4.],
            [1.]], dtype=torch.float64)
    """
    check_searchable(queries, gallery)
    check_ks(ks, "a score of label distances")
    among = queries if gallery is None else gallery
    labels = among.shards.all_gather(among.labels)
    own = own_positions(queries, gallery)
    counts = torch.full_like(queries.ids, min(max(ks), len(labels)))
    counts = counts.minimum(len(labels) - (own >= 0).long())
    if (counts == 0).any():
        raise ValueError("the gallery holds nothing but the query itself: nothing can be found")
    size = (2, len(queries.ids), 3, len(ks))
    scores = torch.empty(size, dtype=torch.float64, device=queries.embeddings.device)
    for block, lists in neighbour_lists(queries, gallery, counts, search):
        for part in chunks(len(block), max(1, _ELEMENTS // len(labels))):
            closeness = relevance_to_all(queries.labels, block[part], labels, relevance)
            for rows in split_by_own(own[block[part]]):
                row, found = block[part][rows], lists[part][rows]
                ranked = closeness[rows].gather(1, found[:, : int(counts[row].max())])
                others = without_own(closeness[rows], own[row])
                scores[0, row], scores[1, row] = _score(others, ranked, ks)
        if advance is not None:
            advance(len(block))
    return LabelDistanceScores(scores[0], scores[1])


def split_by_own(own: Int[Tensor, "b"]) -> list[Int[Tensor, "_"]]:
    """Rows that are not in the gallery, and rows that are; only what is not empty."""
    parts = ((own < 0).nonzero().squeeze(1), (own >= 0).nonzero().squeeze(1))
    return [rows for rows in parts if len(rows)]


def without_own(values: Float[Tensor, "b m"], own: Int[Tensor, "b"]) -> Float[Tensor, "b others"]:
    """Each row without its own column; all rows have one, or none has."""
    if (own < 0).any():
        return values
    others = torch.arange(values.shape[1] - 1, device=own.device).expand(len(own), -1)
    return values.gather(1, others + (others >= own[:, None]).long())


def relevance_to_all(
    labels: Shaped[Tensor, "n ..."],
    row: Int[Tensor, "b"],
    among: Shaped[Tensor, "m ..."],
    relevance: Relevance | None = None,
) -> Float[Tensor, "b m"]:
    """Relevance of the whole gallery to some of the queries.

    Raises:
        ValueError: It is not finite; names the query.
    """
    closeness = (relevance or LabelCloseness())(labels[row], among)
    broken = ~closeness.isfinite().all(1)
    if broken.any():
        first = int(row[broken][0])
        raise ValueError(f"label distances of query {first} hold NaN or infinity: check its label")
    return closeness


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


def _ranking(relevance: Tensor) -> Tensor:
    ranked = real_matrix(relevance, "relevance")
    if ranked.shape[1] == 0:
        raise ValueError("a ranking needs at least one neighbour; got none")
    return ranked


def _gain(distance: Tensor) -> Tensor:
    return 1 / (1 + distance.clamp(min=0))


def _discount(k: int, device: torch.device) -> Tensor:
    return 1 / torch.arange(2, k + 2, dtype=torch.float64, device=device).log2()
