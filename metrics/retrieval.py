"""Scores of a search: each query's, and their means."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from ranklight.metrics.answers import Answers, ClassAnswers, Judge
from ranklight.metrics.checks import check_floats, check_ks
from ranklight.metrics.ranked import (
    Ranked,
    average_precision_at_k,
    inverse_negative_penalty,
    map_at_r,
    ndcg_at_k,
    precision_at_k,
    r_precision,
    recall_at_k,
    reciprocal_rank,
    trapezoid_average_precision,
)
from ranklight.search.embedded import Embedded, check_searchable
from ranklight.search.exact import ExactSearch
from ranklight.search.neighbours import AnySearch, neighbour_lists

_DEEPER = 8

Score = Callable[[Ranked, Int[Tensor, "b"]], Float[Tensor, "b"]]


class Scoring(NamedTuple):
    """What is scored beside Recall@K, and by which answers.

    Args:
        answers: What is right, wrong and junk: `ClassAnswers` and others of `metrics.answers`.
        precision: Every K of `precision@K`.
        average_precision: Every K of `map@K`.
        ndcg: Every K of `ndcg@K`.
        at_r: Whether to score `r_precision` and `map@r`, which need as many neighbours as there are
            relevant images.
        whole_ranking: Whether to score `map`, `map/trapezoid`, `mrr` and `minp`, for which lists go
            on until all relevant images are found: 8 times as long at each try.

        >>> Scoring(precision=(5,)).names(ks=(1,))
        ['recall@1', 'precision@5', 'r_precision', 'map@r']
    """

    answers: Judge = ClassAnswers
    precision: Sequence[int] = ()
    average_precision: Sequence[int] = ()
    ndcg: Sequence[int] = ()
    at_r: bool = True
    whole_ranking: bool = False

    def names(self, ks: Sequence[int]) -> list[str]:
        """Of all scores, in their order; the same that `score_retrieval` gives."""
        return [*self._of_rankings(ks), *(f"ndcg@{k}" for k in self.ndcg)]

    def longest(self, ks: Sequence[int]) -> int:
        """The largest K.

        Raises:
            TypeError: A K is no whole number.
            ValueError: There is no K of Recall@K, or a K is below 1.
        """
        check_ks(ks, "Recall@K")
        every = (*ks, *self.precision, *self.average_precision, *self.ndcg)
        check_ks(every, "a score of retrieval")
        return max(every)

    def score(
        self, answers: Answers, row: Int[Tensor, "b"], gains: Ranked, ks: Sequence[int]
    ) -> Float[Tensor, "b c"]:
        """All scores of rankings without junk that go on to the largest K, a column each."""
        relevant = answers.relevant[row]
        columns = [score(gains, relevant) for score in self._of_rankings(ks).values()]
        if self.ndcg:
            best = answers.best(row, max(self.ndcg))
            columns += [ndcg_at_k(gains, best, k) for k in self.ndcg]
        return torch.stack(columns, 1)

    def _of_rankings(self, ks: Sequence[int]) -> dict[str, Score]:
        scores: dict[str, Score] = {f"recall@{k}": partial(recall_at_k, k=k) for k in ks}
        scores |= {f"precision@{k}": partial(precision_at_k, k=k) for k in self.precision}
        scores |= {f"map@{k}": partial(average_precision_at_k, k=k) for k in self.average_precision}
        if self.at_r:
            scores |= {"r_precision": r_precision, "map@r": map_at_r}
        if self.whole_ranking:
            scores |= {
                "map": average_precision_at_k,
                "map/trapezoid": trapezoid_average_precision,
                "mrr": reciprocal_rank,
                "minp": inverse_negative_penalty,
            }
        return scores


USUAL = Scoring()


def evaluate_retrieval(
    queries: Embedded,
    gallery: Embedded | None = None,
    ks: Sequence[int] = (1, 2, 4, 8),
    search: AnySearch = ExactSearch,
    advance: Callable[[int], object] | None = None,
    scoring: Scoring = USUAL,
) -> dict[str, float]:
    """Mean scores of every embedding as a query: `recall@K`, `r_precision`, `map@r`, `queries`.

    Neighbours are exact and ordered by the rules of `search.exact.ExactSearch`: at equal
    distance the smaller index first, the query itself left out by its index. A query with nothing
    relevant in the gallery (a class with one image) is not counted, and stays in the gallery.
    Extra memory: one float32 copy of the gallery and a few blocks, never n × m.

    On several ranks each gives its share of the rows; every rank gets the numbers of one process,
    to the bit. Only labels, groups and scores are gathered.

    Differs from pytorch-metric-learning's AccuracyCalculator in comparing labels as integers, where
    labels above 2²⁴ become equal there, and in having one order of equal distances, where there it
    is that of the library that searches. Like there, a query is left out by its index.

        >>> embeddings = torch.tensor([[0.0], [1.0], [3.0], [6.0]])
        >>> evaluate_retrieval(Embedded(embeddings, torch.tensor([0, 0, 1, 1])), ks=(1, 2))
        {'recall@1': 0.75, 'recall@2': 0.75, 'r_precision': 0.75, 'map@r': 0.75, 'queries': 4}

    Args:
        queries: What to look for, with what the answers of `scoring` compare, by default one
            integer class each; on any device, and searched there.
        gallery: Where to look; among the other queries by default. A query that is part of it, by
            the ids that both were given, is left out for itself.
        ks: Every K of Recall@K. K beyond the gallery looks at all of it.
        search: Prepares the gallery: exact, or a `search.ApproximateSearch`.
        advance: Called with the number of queries each time that some are done.
        scoring: Further scores, and what is right, wrong and junk.

    Returns:
        Fractions 0..1, nan if no query counts, and how many counted under `queries`.

    Raises:
        ValueError: Embeddings are not finite or of two dimensions, labels are no classes, a side
            is empty, or K is under 1.
    """
    scores = score_retrieval(queries, gallery, ks, search, advance, scoring)
    return average_retrieval(queries, scores)


def average_retrieval(
    queries: Embedded, scores: Mapping[str, Float[Tensor, "n"]]
) -> dict[str, float]:
    """What `evaluate_retrieval` gives, of scores that are there already; collective.

    >>> rows = Embedded(torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([0, 0, 1]))
    >>> average_retrieval(rows, score_retrieval(rows, ks=(1,)))
    {'recall@1': 1.0, 'r_precision': 1.0, 'map@r': 1.0, 'queries': 2}
    """
    every = gather_scores(queries, scores)
    counted = (~next(iter(every.values())).isnan()).sum().item()
    return {name: score.nanmean().item() for name, score in every.items()} | {"queries": counted}


def gather_scores(
    queries: Embedded, scores: Mapping[str, Float[Tensor, "n"]]
) -> dict[str, Float[Tensor, "size"]]:
    """The scores of all ranks' queries, on every rank; collective.

    Raises:
        TypeError: Scores are no tensors of floats.
        ValueError: There are none, or not one a query.
    """
    if not scores:
        raise ValueError("there are no scores to average")
    check_floats([len(queries.ids)], **scores)
    return {name: queries.shards.all_gather(score.contiguous()) for name, score in scores.items()}


def score_retrieval(
    queries: Embedded,
    gallery: Embedded | None = None,
    ks: Sequence[int] = (1, 2, 4, 8),
    search: AnySearch = ExactSearch,
    advance: Callable[[int], object] | None = None,
    scoring: Scoring = USUAL,
) -> dict[str, Float[Tensor, "n"]]:
    """Scores of each query, whose means `evaluate_retrieval` takes; the arguments are the same.

    A query needs as many neighbours as the largest K, or as there are relevant images, and as many
    more as it has junk. Its list is reduced to scores at once: nothing of size n × k is kept.

        >>> rows = Embedded(torch.tensor([[0.0], [1.0], [3.0], [6.0]]), torch.tensor([0, 0, 1, 1]))
        >>> score_retrieval(rows)["map@r"]
        tensor([1., 1., 0., 1.], dtype=torch.float64)

    Returns:
        By the names of the scores one number a query; nan where nothing is relevant.
    """
    longest, names = scoring.longest(ks), scoring.names(ks)
    check_searchable(queries, gallery)
    answers = scoring.answers(queries, gallery)
    scores = torch.full(
        (len(queries.ids), len(names)),
        torch.nan,
        dtype=torch.float64,
        device=queries.embeddings.device,
    )
    for row, gains in _rankings(queries, gallery, answers, search, (longest, scoring)):
        scores[row] = scoring.score(answers, row, gains, ks)
        if advance is not None:
            advance(len(row))
    return dict(zip(names, scores.unbind(1), strict=True))


def _rankings(
    queries: Embedded,
    gallery: Embedded | None,
    answers: Answers,
    search: AnySearch,
    wanted: tuple[int, Scoring],
) -> Iterator[tuple[Int[Tensor, "b"], Ranked]]:
    """Blocks of queries that have answers, and their rankings without junk; collective."""
    longest, scoring = wanted
    size = (queries if gallery is None else gallery).shards.size
    relevant = answers.relevant
    needed = torch.full_like(relevant, min(longest, size))
    if scoring.at_r or scoring.whole_ranking:
        needed = needed.maximum(relevant)
    pending = torch.where(relevant > 0, (needed + answers.junk).clamp(max=size), 0)
    while queries.shards.max(int(pending.max()) if len(pending) else 0):
        deeper = torch.zeros_like(pending)
        for row, found in neighbour_lists(queries, gallery, pending, search):
            gains = _without_junk(*answers.judge(row, found))
            if scoring.whole_ranking:
                unsure = ((gains > 0).sum(1) < relevant[row]) & (pending[row] < size)
                deeper[row[unsure]] = (_DEEPER * pending[row[unsure]]).clamp(max=size)
                row, gains = row[~unsure], gains[~unsure]
            if len(row):
                yield row, pad(gains, (0, max(0, longest - gains.shape[1])))
        pending = deeper


def _without_junk(gains: Ranked, junk: Bool[Tensor, "b k"]) -> Ranked:
    """Rankings in which what follows junk has moved up; 0 at the end."""
    if not junk.any():
        return gains
    order = junk.byte().argsort(dim=1, stable=True)
    return gains.masked_fill(junk, 0).gather(1, order)
