"""Retrieval scores: pure functions of ranked relevance, and those of a search."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ranklight.kernels.checks import (
    check_counts,
    check_integers,
    check_values_are_there,
    is_integer,
)
from ranklight.metrics.checks import check_floats, check_ks, real_matrix
from ranklight.search.embedded import Embedded, check_searchable, own_positions
from ranklight.search.exact import ExactSearch
from ranklight.search.neighbours import Prepare, neighbour_lists

Ranked = Float[Tensor, "n k"] | Bool[Tensor, "n k"]


def recall_at_k(ranked_relevance: Ranked, relevant: Int[Tensor, "n"], k: int) -> Float[Tensor, "n"]:
    """Whether anything relevant is among the k nearest.

        Recall@K_i = max_{j ≤ K} [R_ij > 0]

    This is the **hit rate**, which metric learning calls Recall@K (Jégou, Douze, Schmid: Product
    Quantization for Nearest Neighbor Search, TPAMI 2011; Song et al., CVPR 2016, arXiv
    1511.06452). It is not the share of all relevant images that were found, the recall of
    information retrieval.

    A ranking has no ties: in ours the smaller index comes first among equally near images. The
    released code of cross-batch memory and of proxy-anchor compares distances instead, and counts a
    relevant image that ties with the K-th irrelevant one as found.

        >>> ranked = torch.tensor([[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
        >>> recall_at_k(ranked, relevant=torch.tensor([2, 1]), k=2)
        tensor([1., 0.], dtype=torch.float64)

    Args:
        ranked_relevance: R_ij of the j-th nearest of query i; more than 0 is relevant.
        relevant: How many relevant images the gallery holds for each query, itself not counted.
        k: K, how far to look; larger is easier.

    Returns:
        1 or 0 a query in float64; nan where the gallery holds nothing relevant.

    Raises:
        TypeError: The ranking is no tensor of real numbers, or `relevant` none of integers.
        ValueError: The ranking ends before K, or `relevant` is not one count a query.
    """
    check_counts(k=k)
    ranked, relevant = _checked(ranked_relevance, relevant)
    _check_ranked_to(ranked, k, f"recall@{k}")
    hit = (ranked[:, :k] > 0).any(1).double()
    return hit.masked_fill(relevant == 0, torch.nan)


def r_precision(ranked_relevance: Ranked, relevant: Int[Tensor, "n"]) -> Float[Tensor, "n"]:
    """Share of relevant images among the R nearest, R being all there are.

        R-precision_i = 1/R_i Σ_{j ≤ R_i} [R_ij > 0]

    Defined for metric learning as in Musgrave, Belongie, Lim: A Metric Learning Reality Check,
    ECCV 2020, arXiv 2003.08505.

        >>> ranked = torch.tensor([[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
        >>> r_precision(ranked, relevant=torch.tensor([2, 1]))
        tensor([0.5000, 0.0000], dtype=torch.float64)

    Args:
        ranked_relevance: R_ij of the j-th nearest of query i; more than 0 is relevant.
        relevant: R_i, how many relevant images the gallery holds, the query itself not counted.

    Returns:
        0..1 a query in float64; nan where the gallery holds nothing relevant.

    Raises:
        TypeError: The ranking is no tensor of real numbers, or `relevant` none of integers.
        ValueError: The ranking ends before the largest R_i, or `relevant` is not one count a query.
    """
    hits = _hits_within_r(ranked_relevance, relevant, "R-precision")
    return hits.sum(1) / relevant.double()


def map_at_r(ranked_relevance: Ranked, relevant: Int[Tensor, "n"]) -> Float[Tensor, "n"]:
    """Mean average precision at R: R-precision that also minds the order.

        MAP@R_i = 1/R_i Σ_{j ≤ R_i} [R_ij > 0] P_i(j),    P_i(j) = 1/j Σ_{l ≤ j} [R_il > 0]

    Musgrave, Belongie, Lim: A Metric Learning Reality Check, ECCV 2020, arXiv 2003.08505. Called
    mean_average_precision_at_r in pytorch-metric-learning.

        >>> ranked = torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]])
        >>> map_at_r(ranked, relevant=torch.tensor([2, 2]))
        tensor([0.2500, 0.5000], dtype=torch.float64)

    Args:
        ranked_relevance: R_ij of the j-th nearest of query i; more than 0 is relevant.
        relevant: R_i, how many relevant images the gallery holds, the query itself not counted.

    Returns:
        0..1 a query in float64; nan where the gallery holds nothing relevant.

    Raises:
        TypeError: The ranking is no tensor of real numbers, or `relevant` none of integers.
        ValueError: The ranking ends before the largest R_i, or `relevant` is not one count a query.
    """
    hits = _hits_within_r(ranked_relevance, relevant, "MAP@R")
    rank = torch.arange(1, hits.shape[1] + 1, device=hits.device)
    precision = hits.cumsum(1) / rank.double()
    return (precision * hits).sum(1) / relevant.double()


class QueryScores(NamedTuple):
    """Every score of every query; nan for a query with nothing relevant to find.

    Args:
        recall: One column for each K that was asked for.
        r_precision: R-precision.
        map_at_r: MAP@R.

        >>> rows = Embedded(torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([0, 0, 1]))
        >>> score_retrieval(rows, ks=(1,)).recall
        tensor([[1.],
                [1.],
                [nan]], dtype=torch.float64)
    """

    recall: Float[Tensor, "n c"]
    r_precision: Float[Tensor, "n"]
    map_at_r: Float[Tensor, "n"]

    def columns(self, ks: Sequence[int]) -> dict[str, Float[Tensor, "n"]]:
        """Each score under the name that its mean has in `evaluate_retrieval`."""
        if len(ks) != self.recall.shape[1]:
            raise ValueError(
                f"scores of {self.recall.shape[1]} Ks cannot be named by {len(ks)}: {tuple(ks)}"
            )
        recalls = {f"recall@{k}": self.recall[:, i] for i, k in enumerate(ks)}
        return recalls | {"r_precision": self.r_precision, "map@r": self.map_at_r}


def evaluate_retrieval(
    queries: Embedded,
    gallery: Embedded | None = None,
    ks: Sequence[int] = (1, 2, 4, 8),
    search: Prepare = ExactSearch,
    advance: Callable[[int], object] | None = None,
) -> dict[str, float]:
    """Mean scores of every embedding as a query: `recall@K`, `r_precision`, `map@r`, `queries`.

    Neighbours are exact and ordered by the rules of `search.exact.ExactSearch`: at equal
    distance the smaller index first, the query itself left out by its index. A query with nothing
    relevant in the gallery (a class with one image) is not counted, and stays in the gallery.
    Extra memory: one float32 copy of the gallery and a few blocks, never n × m.

    On several ranks each gives its share of the rows; every rank gets the numbers of one process,
    to the bit. Only labels and scores are gathered.

    Differs from pytorch-metric-learning's AccuracyCalculator in comparing labels as integers, where
    labels above 2²⁴ become equal there, and in having one order of equal distances, where there it
    is that of the library that searches. Like there, a query is left out by its index.

        >>> embeddings = torch.tensor([[0.0], [1.0], [3.0], [6.0]])
        >>> evaluate_retrieval(Embedded(embeddings, torch.tensor([0, 0, 1, 1])), ks=(1, 2))
        {'recall@1': 0.75, 'recall@2': 0.75, 'r_precision': 0.75, 'map@r': 0.75, 'queries': 4}

    Args:
        queries: What to look for, labelled by integer classes, on any device; searched there.
        gallery: Where to look; among the other queries by default. A query that is part of it, by
            the ids that both were given, is left out for itself.
        ks: Every K of Recall@K. K beyond the gallery looks at all of it.
        search: Prepares the gallery: exact, or a `search.ApproximateSearch`.
        advance: Called with the number of queries each time that some are done.

    Returns:
        Fractions 0..1, nan if no query counts, and how many counted under `queries`.

    Raises:
        ValueError: Embeddings are not finite or of two dimensions, labels are no classes, a side
            is empty, or K is under 1.
    """
    return average_retrieval(queries, score_retrieval(queries, gallery, ks, search, advance), ks)


def average_retrieval(
    queries: Embedded, scores: QueryScores, ks: Sequence[int]
) -> dict[str, float]:
    """What `evaluate_retrieval` gives, of scores that are there already; collective.

    >>> rows = Embedded(torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([0, 0, 1]))
    >>> average_retrieval(rows, score_retrieval(rows, ks=(1,)), ks=(1,))
    {'recall@1': 1.0, 'r_precision': 1.0, 'map@r': 1.0, 'queries': 2}
    """
    rows = len(queries.ids)
    check_floats([rows, None], recall=scores.recall)
    check_floats([rows], r_precision=scores.r_precision, map_at_r=scores.map_at_r)
    own = scores.columns(ks)
    every = {name: queries.shards.all_gather(score.contiguous()) for name, score in own.items()}
    counted = (~every["r_precision"].isnan()).sum().item()
    return {name: score.nanmean().item() for name, score in every.items()} | {"queries": counted}


def score_retrieval(
    queries: Embedded,
    gallery: Embedded | None = None,
    ks: Sequence[int] = (1, 2, 4, 8),
    search: Prepare = ExactSearch,
    advance: Callable[[int], object] | None = None,
) -> QueryScores:
    """Scores of each query, whose means `evaluate_retrieval` takes; the arguments are the same.

    A query needs max(R_i, K) neighbours. Its list is reduced to scores at once: nothing of size
    n × k is kept.

        >>> rows = Embedded(torch.tensor([[0.0], [1.0], [3.0], [6.0]]), torch.tensor([0, 0, 1, 1]))
        >>> score_retrieval(rows).map_at_r
        tensor([1., 1., 0., 1.], dtype=torch.float64)
    """
    among = queries if gallery is None else gallery
    check_classes(queries.labels, among.labels)
    check_searchable(queries, gallery)
    check_ks(ks, "Recall@K")
    labels, own_labels = among.shards.all_gather(among.labels.long()), queries.labels.long()
    classes, sizes = torch.unique(labels, return_counts=True)
    index = torch.searchsorted(classes, own_labels.contiguous()).clamp(max=len(classes) - 1)
    own = own_positions(queries, gallery)
    itself = (own >= 0) & (labels[own] == own_labels)
    relevant = torch.where(classes[index] == own_labels, sizes[index], 0) - itself.long()
    needed = torch.where(relevant > 0, relevant.clamp(min=min(max(ks), len(labels))), 0)
    size = (len(relevant), len(ks) + 2)
    scores = torch.full(size, torch.nan, dtype=torch.float64, device=relevant.device)
    for row, found in neighbour_lists(queries, gallery, needed, search):
        hits = (labels[found] == own_labels[row, None]) & (found >= 0)
        scores[row] = _score(hits, relevant[row], ks)
        if advance is not None:
            advance(len(row))
    return QueryScores(scores[:, :-2], scores[:, -2], scores[:, -1])


def _score(
    hits: Bool[Tensor, "n k"], relevant: Int[Tensor, "n"], ks: Sequence[int]
) -> Float[Tensor, "n c"]:
    # a list that ends before K holds the whole gallery
    columns = [recall_at_k(hits, relevant, min(k, hits.shape[1])) for k in ks]
    return torch.stack([*columns, r_precision(hits, relevant), map_at_r(hits, relevant)], 1)


def check_classes(*labels: Tensor) -> None:
    """Raise a ValueError if labels are not one integer a row."""
    for given in labels:
        if given.ndim != 1 or not is_integer(given):
            raise ValueError(
                "retrieval is scored by one integer class a row (shape [n]), not by labels of type "
                f"{given.dtype} and shape {list(given.shape)}"
            )


def _checked(ranked_relevance: Tensor, relevant: Tensor) -> tuple[Tensor, Tensor]:
    ranked = real_matrix(ranked_relevance, "ranked_relevance")
    check_values_are_there(ranked_relevance=ranked, relevant=relevant)
    check_integers(relevant=relevant)
    if len(relevant) != len(ranked) or (relevant.long() < 0).any():
        raise ValueError(
            f"{len(ranked)} queries need as many counts of what is relevant, each 0 or more; got "
            f"{len(relevant)}, the least {int(relevant.long().min()) if len(relevant) else None}"
        )
    return ranked, relevant.long()


def _check_ranked_to(ranked_relevance: Tensor, k: int, score: str) -> None:
    if ranked_relevance.shape[1] < k:
        raise ValueError(
            f"{score} looks at {k} neighbours, the ranking holds {ranked_relevance.shape[1]}"
        )


def _hits_within_r(ranked_relevance: Tensor, relevant: Tensor, score: str) -> Bool[Tensor, "n k"]:
    ranked, relevant = _checked(ranked_relevance, relevant)
    max_r = int(relevant.max()) if len(relevant) else 0
    _check_ranked_to(ranked, max_r, score)
    column = torch.arange(max_r, device=relevant.device)
    return (ranked[:, :max_r] > 0) & (column < relevant[:, None])
