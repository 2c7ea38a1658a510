"""What an index costs and finds, beside exact search of the same vectors."""

from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int
from torch import Tensor

from ranklight.running.file_progress import file_progress
from ranklight.search import ExactSearch
from ranklight.search.order import distances_of, empty_lists, merge_lists
from ranklight.search.vector_index import VectorIndex
from ranklight.serving.embedding_blocks import EmbeddingBlocks

K, _QUERIES, _TIMED = 10, 1000, 30


class Measured(NamedTuple):
    """One line of the table.

    Args:
        layout: What was measured, in words.
        bytes_a_vector: Of the index's file.
        recall: Share of the k nearest images that are found, each image without itself.
        k: How many are looked for.
        ms_a_query: Median, one query at a time.
    """

    layout: str
    bytes_a_vector: float
    recall: float
    k: int
    ms_a_query: float


class Asked(NamedTuple):
    """Images that are searched for, and what is nearest to them.

    Args:
        rows: Of the queries.
        vectors: Theirs.
        nearest: Rows of the k nearest others, exact.
    """

    rows: Int[np.ndarray, " n"]
    vectors: Float32[np.ndarray, "n d"]
    nearest: Int[Tensor, "n k"]


def draw(rows: int, count: int, seed: int = 0) -> Int[np.ndarray, " n"]:
    """So many of the rows, or all, at random, in ascending order."""
    chosen = np.random.default_rng(seed).choice(rows, min(rows, count), replace=False)
    return np.sort(chosen)


def measure(index: VectorIndex, file: Path, source: EmbeddingBlocks) -> list[Measured]:
    """The lines of exact search and of an index in a file; one line where they are the same."""
    bytes_a_vector = file.stat().st_size / len(index)
    if index.layout.is_exact:
        asked = source.take(draw(source.rows, _TIMED))
        time = _milliseconds(index, asked, min(K, len(index)))
        return [Measured(str(index.layout), bytes_a_vector, 1.0, min(K, len(index)), time)]
    asked_for = ask(source)
    return [measured_against(asked_for, index, bytes_a_vector)]


def ask(source: EmbeddingBlocks) -> Asked:
    """Some of the images and, exact, in one pass over all, their nearest others.

    Raises:
        ValueError: There is one image alone.
    """
    if source.rows < 2:
        raise ValueError(
            f"recall needs 2 images or more, and {source.path} has {source.rows}: build an Exact "
            "index, or give more"
        )
    rows = draw(source.rows, _QUERIES, seed=1)
    vectors, k = source.take(rows), min(K, source.rows - 1)
    queries, own = torch.from_numpy(vectors), torch.from_numpy(rows)
    distance, nearest = empty_lists(len(rows), k, queries.device)
    start = 0
    with file_progress("measuring recall", source.rows) as advance:
        for block in source:
            gallery = torch.from_numpy(block.vectors)
            size = len(gallery)
            inside = (own >= start) & (own < start + size)
            found = ExactSearch(gallery, max_k=k).nearest(
                queries, k, own=torch.where(inside, own - start, -2)
            )
            new = distances_of(queries, gallery, found)
            found = torch.where(found >= 0, found + start, -1)
            distance, nearest = merge_lists(distance, nearest, new, found)
            start += size
            advance(size)
    return Asked(rows, vectors, nearest)


def measured_against(asked: Asked, index: VectorIndex, bytes_a_vector: float) -> Measured:
    """What an index finds of what is nearest."""
    k = asked.nearest.shape[1]
    _, found = index.nearest(asked.vectors, k + 1)
    hits = [
        len(set(true) & set([row for row in near if row != own][:k]))
        for true, near, own in zip(asked.nearest.tolist(), found.tolist(), asked.rows, strict=True)
    ]
    recall = sum(hits) / asked.nearest.numel()
    time = _milliseconds(index, asked.vectors, k)
    return Measured(str(index.layout), bytes_a_vector, recall, k, time)


def _milliseconds(index: VectorIndex, queries: Float32[np.ndarray, "n d"], k: int) -> float:
    times = []
    for query in queries[:_TIMED]:
        started = perf_counter()
        index.nearest(query[None], k)
        times.append(perf_counter() - started)
    return 1000 * float(np.median(times))
