"""Relevance that is a list: which gallery images answer a query, and which do not count."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor


class RelevantPairs(NamedTuple):
    """Pairs (image index of the query, image index of the gallery image).

    Args:
        relevant: Pairs of a query and an image that answers it.
        junk: Pairs of a query and an image that is neither right nor wrong, and has no rank.
    """

    relevant: Int[Tensor, "p 2"]
    junk: Int[Tensor, "j 2"]


def listed_pairs(queries: Sequence[int], answers: Iterable[Sequence[int]]) -> Int[Tensor, "p 2"]:
    """Each query with each of its answers.

    Args:
        queries: Image indices.
        answers: For each query, image indices.

    Example:
        >>> listed_pairs([7, 8], [[0, 2], [1]]).tolist()
        [[7, 0], [7, 2], [8, 1]]
    """
    pairs = [(query, answer) for query, of in zip(queries, answers, strict=True) for answer in of]
    return torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2)
