"""Triplets for evaluation, drawn by graded relevance."""

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from ranklight.datamodules.randomness import random_bits, uniform
from ranklight.datamodules.samplers.pair_relevance import OfPairs

_STREAM = 4
_MOST_QUERIES, _PER_QUERY, _LEAST_DIFFERENCE = 1000, 40, 0.1


def graded_triplets(
    of_pairs: OfPairs, queries: NDArray[np.int64], gallery: NDArray[np.int64], seed: int
) -> Int[Tensor, "t 3"]:
    """Rows of queries with a more and a less relevant row of the gallery.

    Of up to 1,000 queries 40 pairs each are drawn from the gallery, the one of what is relevant at
    all, the other half of the time likewise and else of everything; those that differ in relevance
    by 0.1 or more are kept, without repeats. A query that is in the gallery is not paired.

    Args:
        of_pairs: Relevance of pairs of rows.
        queries: Rows.
        gallery: Rows.
        seed: Another seed is other triplets.

    Raises:
        ValueError: No query has two images in the gallery that differ in relevance so much.
    """
    order = np.argsort(random_bits(seed, _STREAM, queries), kind="stable")
    triplets = [
        _of_query(of_pairs, int(query), gallery, seed) for query in queries[order[:_MOST_QUERIES]]
    ]
    together = np.unique(np.concatenate(triplets), axis=0)
    if not len(together):
        raise ValueError(
            f"no query has two images in the gallery of {len(gallery)} whose relevance differs by "
            f"{_LEAST_DIFFERENCE} or more: there are no triplets to score"
        )
    return torch.from_numpy(together)


def _of_query(
    of_pairs: OfPairs, query: int, gallery: NDArray[np.int64], seed: int
) -> Int[np.ndarray, "t 3"]:
    others = gallery[gallery != query]
    relevance = of_pairs(np.full_like(others, query), others)
    relevant = np.flatnonzero(relevance > 0)
    if not len(relevant):
        return np.empty((0, 3), np.int64)
    draws = uniform(seed, _STREAM, query, np.arange(_PER_QUERY)[:, None], np.arange(3))
    one = relevant[(draws[:, 0] * len(relevant)).astype(np.int64)]
    other = np.where(
        draws[:, 2] < 0.5,
        relevant[(draws[:, 1] * len(relevant)).astype(np.int64)],
        (draws[:, 1] * len(others)).astype(np.int64),
    )
    swapped = relevance[one] < relevance[other]
    better, worse = np.where(swapped, other, one), np.where(swapped, one, other)
    kept = relevance[better] - relevance[worse] >= _LEAST_DIFFERENCE
    found = np.column_stack([np.full(kept.sum(), query), others[better[kept]], others[worse[kept]]])
    return found.astype(np.int64)
