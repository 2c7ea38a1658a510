"""Means over the queries of each class, and of these: scores that large classes do not decide."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ranklight.kernels.checks import check_integers
from ranklight.metrics.retrieval import gather_scores
from ranklight.search.embedded import Embedded


class ClassMeans(NamedTuple):
    """The mean of each score over the queries of each class, or group.

        >>> means = {"recall@1": torch.tensor([0.5, 1.0])}
        >>> ClassMeans(torch.tensor([4, 9]), torch.tensor([2, 1]), means).macro()
        {'recall@1/macro': 0.75}

    Args:
        classes: Ascending; only those of which a query counts.
        queries: How many count, of each, by the first score.
        means: By the names of the scores, one number a class.
    """

    classes: Int[Tensor, "c"]
    queries: Int[Tensor, "c"]
    means: dict[str, Float[Tensor, "c"]]

    def macro(self) -> dict[str, float]:
        """The mean over classes of each score, `<name>/macro`."""
        return {f"{name}/macro": means.nanmean().item() for name, means in self.means.items()}


def average_by_class(
    queries: Embedded, scores: Mapping[str, Float[Tensor, "n"]], classes: Int[Tensor, "n"]
) -> ClassMeans:
    """Means over the queries of each class; collective, the same on every rank.

    Queries that do not count (nan) are left out.

        >>> queries = Embedded(torch.rand(3, 2), torch.tensor([4, 4, 9]))
        >>> scores = {"recall@1": torch.tensor([1.0, 0.0, 1.0])}
        >>> average_by_class(queries, scores, queries.labels).macro()
        {'recall@1/macro': 0.75}

    Args:
        queries: Whose scores these are.
        scores: Of this rank's queries.
        classes: Of this rank's queries: their labels, or their groups.

    Raises:
        TypeError: Scores are no floats, or classes no integers.
        ValueError: There are no scores, or not one a query.
    """
    check_integers(classes=classes)
    gathered = gather_scores(queries, scores)
    # On the CPU sums have one order.
    every = {name: score.cpu() for name, score in gathered.items()}
    numbers = queries.shards.all_gather(classes.contiguous()).cpu()
    found, place = torch.unique(numbers, return_inverse=True)
    totals = {name: _sums(place, len(found), score.double()) for name, score in every.items()}
    _, counts = next(iter(totals.values()))
    there = counts > 0
    means = {name: (total / number)[there] for name, (total, number) in totals.items()}
    return ClassMeans(found[there], counts[there], means)


def _sums(
    place: Int[Tensor, "n"], size: int, scores: Float[Tensor, "n"]
) -> tuple[Float[Tensor, "c"], Int[Tensor, "c"]]:
    """The sum of each class and how many scores it is of."""
    counts = ~scores.isnan()
    total = torch.zeros(size, dtype=torch.float64)
    total.index_add_(0, place[counts], scores[counts])
    return total, torch.bincount(place[counts], minlength=size)
