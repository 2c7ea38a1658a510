"""Spearman's correlation of two orders of a gallery: by embedding, and by label."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from ranklight.kernels.checks import check_values_are_there
from ranklight.kernels.chunks import chunks
from ranklight.metrics.checks import check_floats, real_matrix
from ranklight.metrics.label_distance import (
    Relevance,
    relevance_to_all,
    split_by_own,
    without_own,
)
from ranklight.search.embedded import Embedded, check_searchable, own_positions
from ranklight.search.shards import Block

_ELEMENTS = 1 << 22


def rank_correlation(
    distance: Float[Tensor, "n m"], label_distance: Float[Tensor, "n m"]
) -> Float[Tensor, "n"]:
    """Spearman's correlation of two distances of each query, ties sharing their mean rank.

    The same as scipy's spearmanr of each row, which takes one row at a time and stays on the CPU.

        >>> distance, of_labels = torch.tensor([[0.1, 0.2, 0.9]]), torch.tensor([[0.0, 2.0, 1.0]])
        >>> rank_correlation(distance, of_labels)
        tensor([0.5000], dtype=torch.float64)

    Returns:
        −1..1; 0 where all embedding distances are equal (nothing was ranked), nan where all label
        distances are.

    Raises:
        TypeError: Distances are no tensor of real numbers.
        ValueError: The two are no matrices of one shape and device, or one is NaN.
    """
    check_values_are_there(distance=distance, label_distance=label_distance)
    given = real_matrix(distance, "distance"), real_matrix(label_distance, "label_distance")
    _check_rankings(*given)
    ours, theirs = (_mean_ranks(values) for values in given)
    ours, theirs = (ranks - ranks.mean(1, keepdim=True) for ranks in (ours, theirs))
    spread = ours.norm(dim=1) * theirs.norm(dim=1)
    correlation: Tensor = (ours * theirs).sum(1) / spread.clamp(min=1e-300)
    return correlation.masked_fill((theirs == 0).all(1), torch.nan)


def evaluate_rank_correlation(
    queries: Embedded, gallery: Embedded | None = None, relevance: Relevance | None = None
) -> dict[str, float]:
    """Mean `rank_correlation` of the two orders of the whole gallery: `spearman`.

    Beside it stand `spearman/oracle`, 1, and `spearman/chance`, 0. It takes two sorts of the
    gallery a query. Queries whose label distances are all equal are not counted. On several ranks
    all get the numbers of one process, but for the rounding of float64.

        >>> queries = Embedded(torch.tensor([[0.0]]), torch.tensor([0.0]))
        >>> gallery = Embedded(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([5.0, 6.0, 7.0]))
        >>> round(evaluate_rank_correlation(queries, gallery)["spearman"], 4)
        1.0

    Args:
        queries: What to look for, with labels of whatever kind `relevance` takes.
        gallery: What is ordered; the other queries by default. A query that is part of it, by the
            ids that both were given, is left out for itself.
        relevance: From two sets of labels to R = 1 − label distance; `LabelCloseness()` by default.

    Raises:
        ValueError: Embeddings are not finite or of two dimensions, label distances are not finite,
            or a side is empty.
    """
    return average_rank_correlation(queries, score_rank_correlation(queries, gallery, relevance))


def average_rank_correlation(
    queries: Embedded, correlations: Float[Tensor, "n"]
) -> dict[str, float]:
    """What `evaluate_rank_correlation` gives, of correlations that are there already; collective.

    >>> rows = Embedded(torch.tensor([[0.0], [1.0]]))
    >>> average_rank_correlation(rows, torch.tensor([0.5, 1.0]))["spearman"]
    0.75
    """
    check_floats([len(queries.ids)], correlations=correlations)
    spearman = queries.shards.all_gather(correlations).nanmean().item()
    return {"spearman": spearman, "spearman/oracle": 1.0, "spearman/chance": 0.0}


def score_rank_correlation(
    queries: Embedded, gallery: Embedded | None = None, relevance: Relevance | None = None
) -> Float[Tensor, "n"]:
    """`rank_correlation` of each query, whose mean `evaluate_rank_correlation` takes.

    >>> queries = Embedded(torch.tensor([[0.0], [9.0]]), torch.tensor([0.0, 0.0]))
    >>> gallery = Embedded(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([5.0, 6.0, 7.0]))
    >>> score_rank_correlation(queries, gallery).round(decimals=4)
    tensor([ 1., -1.], dtype=torch.float64)
    """
    check_searchable(queries, gallery)
    among = queries if gallery is None else gallery
    labels = among.shards.all_gather(among.labels)
    own = own_positions(queries, gallery)
    every = torch.arange(len(queries.ids), device=queries.embeddings.device)
    blocks = [every[part] for part in chunks(len(every), max(1, _ELEMENTS // len(labels)))]
    spearman = torch.empty(every.shape, dtype=torch.float64, device=every.device)
    distances = _squared_distances([queries.embeddings[row] for row in blocks], among)
    for distance, row in zip(distances, blocks, strict=True):
        closeness = relevance_to_all(queries.labels, row, labels, relevance)
        for rows in split_by_own(own[row]):
            sides = (values[rows] for values in (distance, 1 - closeness))
            correlated = rank_correlation(*(without_own(side, own[row][rows]) for side in sides))
            spearman[row[rows]] = correlated
    return spearman


def _squared_distances(
    blocks: list[Float[Tensor, "_ d"]], gallery: Embedded
) -> Iterator[Float[Tensor, "b size"]]:
    """‖q − g‖² − ‖q‖² to the gallery of all ranks, in float64, for each block of queries."""
    points, own = gallery.embeddings.double(), gallery.shards.own.to(gallery.embeddings.device)

    def visit(block: Block) -> Block:
        rows, distance = block
        distance[:, own] = points.square().sum(1) - 2 * rows.double() @ points.T
        return rows, distance

    empty = ((rows, points.new_empty(len(rows), gallery.shards.size)) for rows in blocks)
    return (distance for _, distance in gallery.shards.ring_pass(empty, visit))


def _check_rankings(distance: Tensor, label_distance: Tensor) -> None:
    if distance.shape != label_distance.shape:
        shapes = f"{list(distance.shape)} and {list(label_distance.shape)}"
        raise ValueError(f"two distances of each pair are needed; got the shapes {shapes}")
    if distance.isnan().any() or label_distance.isnan().any():
        raise ValueError("distances hold NaN: they cannot be ranked")


def _mean_ranks(values: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
    order = values.argsort(1)
    ordered = values.gather(1, order)
    begins = torch.ones_like(order, dtype=torch.bool)
    begins[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    rank = torch.arange(values.shape[1], device=values.device).expand_as(order)
    start = torch.where(begins, rank, 0).cummax(1).values
    tied = torch.zeros_like(start).scatter_add_(1, start, torch.ones_like(start)).gather(1, start)
    ranks = start.double() + (tied - 1) / 2
    return torch.empty_like(ranks).scatter_(1, order, ranks)
