"""Scores on given triplets (query, positive, negative): is the positive nearer?"""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ranklight.kernels.checks import check_integers, check_values_are_there, is_integer, whole
from ranklight.kernels.chunks import chunks
from ranklight.search.embedded import Embedded, check_searchable
from ranklight.search.exact import ExactSearch
from ranklight.search.neighbours import Prepare, neighbour_lists
from ranklight.search.order import squared_distance

_ROWS = 1024


def evaluate_triplets(
    queries: Embedded,
    gallery: Embedded,
    triplets: Int[Tensor, "t 3"],
    k: int = 30,
    search: Prepare = ExactSearch,
) -> dict[str, float]:
    """`similarity_precision`, `score@K` (`triplet_score_at_k`) and the number of `triplets`.

        >>> queries, gallery = Embedded(torch.tensor([[0.0]])), Embedded(torch.arange(4.0)[:, None])
        >>> evaluate_triplets(queries, gallery, torch.tensor([[0, 1, 3], [0, 3, 2]]), k=2)
        {'similarity_precision': 0.5, 'score@2': 1, 'triplets': 2}

    Args:
        queries: What triplets ask about.
        gallery: What they compare it with.
        triplets: Positions of the query, and of positive and negative in the gallery; the same on
            every rank.
        k: Of score-at-top-K.
        search: Prepares the gallery: exact, or a `search.ApproximateSearch`.

    Raises:
        TypeError: Triplets are no tensor.
        ValueError: No triplet, one of rows that are not there, or embeddings that are not finite or
            of two dimensions.
    """
    return average_triplets(score_triplets(queries, gallery, triplets, k, search), k)


class TripletScores(NamedTuple):
    """What each triplet adds to the scores; the same on every rank.

    Args:
        in_order: Whether the positive is nearer.
        shown: 1 or −1, in order or not, where the triplet is among the k nearest; else 0.

        >>> average_triplets(TripletScores(torch.tensor([True]), torch.tensor([1])), k=5)
        {'similarity_precision': 1.0, 'score@5': 1, 'triplets': 1}
    """

    in_order: Bool[Tensor, "t"]
    shown: Int[Tensor, "t"]


def score_triplets(
    queries: Embedded,
    gallery: Embedded,
    triplets: Int[Tensor, "t 3"],
    k: int = 30,
    search: Prepare = ExactSearch,
) -> TripletScores:
    """What each triplet adds to what `evaluate_triplets` gives; the arguments are the same.

    >>> queries, gallery = Embedded(torch.tensor([[0.0]])), Embedded(torch.arange(4.0)[:, None])
    >>> score_triplets(queries, gallery, torch.tensor([[0, 1, 3], [0, 3, 2]]), k=2).shown
    tensor([1, 0])
    """
    triplets = _checked(queries, gallery, triplets)
    if whole(k, "k") < 1:
        raise ValueError(f"score-at-top-K needs a K of 1 or more, not {k}")
    k = min(k, gallery.shards.size)
    lists = torch.full((len(queries.ids), k), -1, device=queries.embeddings.device)
    for row, found in neighbour_lists(queries, gallery, torch.full_like(queries.ids, k), search):
        lists[row] = found
    shown = torch.zeros(len(triplets), dtype=torch.bool, device=triplets.device)
    for rows in chunks(len(triplets), _ROWS):
        found = queries.shards.take(lists, triplets[rows, 0])
        shown[rows] = (found[:, :, None] == triplets[rows, None, 1:]).flatten(1).any(1)
    in_order = _in_order(queries, gallery, triplets)
    return TripletScores(in_order, torch.where(shown, torch.where(in_order, 1, -1), 0))


def average_triplets(scores: TripletScores, k: int) -> dict[str, float]:
    """What `evaluate_triplets` gives, of scores that are there already.

    >>> scores = TripletScores(torch.tensor([True, False]), torch.tensor([1, 0]))
    >>> average_triplets(scores, k=2)
    {'similarity_precision': 0.5, 'score@2': 1, 'triplets': 2}
    """
    check_values_are_there(in_order=scores.in_order, shown=scores.shown)
    check_integers(shown=scores.shown)
    if scores.in_order.dtype != torch.bool or scores.in_order.shape != scores.shown.shape:
        raise ValueError(
            "in_order must be True or False for each triplet; got "
            f"{scores.in_order.dtype} of shape {list(scores.in_order.shape)}"
        )
    return {
        "similarity_precision": scores.in_order.double().mean().item(),
        f"score@{k}": scores.shown.long().sum().item(),
        "triplets": len(scores.shown),
    }


def similarity_precision(
    queries: Embedded, gallery: Embedded, triplets: Int[Tensor, "t 3"]
) -> Float[Tensor, ""]:
    """Share of triplets whose positive is nearer to the query than their negative.

    Wang et al., CVPR 2014, arXiv 1404.4661. Distances are those of `squared_distance`, the same on
    every device; at equal distance a triplet is not in order. Arguments as in `evaluate_triplets`.

        >>> queries, gallery = Embedded(torch.tensor([[0.0]])), Embedded(torch.arange(4.0)[:, None])
        >>> similarity_precision(queries, gallery, torch.tensor([[0, 1, 3], [0, 2, 2]]))
        tensor(0.5000, dtype=torch.float64)
    """
    triplets = _checked(queries, gallery, triplets)
    return _in_order(queries, gallery, triplets).double().mean()


def triplet_score_at_k(
    queries: Embedded,
    gallery: Embedded,
    triplets: Int[Tensor, "t 3"],
    k: int = 30,
    search: Prepare = ExactSearch,
) -> Int[Tensor, ""]:
    """Score-at-top-K: of triplets that show among the k nearest, right ones less wrong ones.

    Counted are triplets whose positive **or** negative is among the k nearest of the query, by the
    rules of `ExactSearch`. Wang et al., CVPR 2014, arXiv 1404.4661, with k = 30 among the 1,000
    images of the query's text search; here among the whole gallery. It is a number of triplets and
    grows with the file: compare it on one file only. Arguments as in `evaluate_triplets`; a larger
    k counts more triplets.

        >>> queries, gallery = Embedded(torch.tensor([[0.0]])), Embedded(torch.arange(4.0)[:, None])
        >>> triplet_score_at_k(queries, gallery, torch.tensor([[0, 1, 3], [0, 3, 2]]), k=2)
        tensor(1)
    """
    return score_triplets(queries, gallery, triplets, k, search).shown.sum()


def read_triplets(
    path: str, query_names: Sequence[str], gallery_names: Sequence[str]
) -> Int[Tensor, "t 3"]:
    r"""Triplets of a CSV file under the header `query,positive,negative`, as rows.

        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        ...     _ = file.write("query,positive,negative\ncat,lion,car\n")
        ...     file.flush()
        ...     read_triplets(file.name, ["cat"], ["car", "lion"])
        tensor([[0, 1, 0]])

    Args:
        path: The file.
        query_names: The name of each query, as in the first column.
        gallery_names: The name of each image of the gallery, as in the others.

    Raises:
        ValueError: Another header, no triplet, or an unknown image, whose line is named; or two
            images of one name.
    """
    queries, gallery = _rows_by_name(query_names), _rows_by_name(gallery_names)
    triplets = []
    with Path(path).open(newline="", encoding="utf-8-sig") as file:
        lines = csv.reader(file)
        header = next(lines, [])
        if [name.strip() for name in header] != ["query", "positive", "negative"]:
            raise ValueError(f"{path} must begin with query,positive,negative; it has {header}")
        for names in lines:
            if not names:
                continue
            known = [queries, gallery, gallery]
            rows = [of.get(name.strip()) for of, name in zip(known, names, strict=False)]
            if len(names) != 3 or None in rows:
                raise ValueError(
                    f"{path}, line {lines.line_num}: {','.join(names)} is not a known query and "
                    "two known images of the gallery"
                )
            triplets.append(rows)
    if not triplets:
        raise ValueError(f"{path} holds no triplet")
    return torch.tensor(triplets)


def _rows_by_name(names: Sequence[str]) -> dict[str, int]:
    rows = {name: row for row, name in enumerate(names)}
    if len(rows) < len(names):
        twice = next(name for row, name in enumerate(names) if rows[name] != row)
        raise ValueError(f"each image needs a name of its own; {twice} is that of two")
    return rows


def _checked(
    queries: Embedded, gallery: Embedded, triplets: Int[Tensor, "t 3"]
) -> Int[Tensor, "t 3"]:
    check_values_are_there(embeddings=queries.embeddings, triplets=triplets)
    if triplets.ndim != 2 or triplets.shape[1] != 3 or not is_integer(triplets):
        raise ValueError(
            "triplets are rows of three positions (query, positive, negative), not "
            f"{triplets.dtype} of shape {list(triplets.shape)}"
        )
    if not len(triplets):
        raise ValueError("there are no triplets to score")
    check_searchable(queries, gallery)
    triplets = triplets.long()
    sides = (("queries", queries, triplets[:, :1]), ("gallery", gallery, triplets[:, 1:]))
    for name, rows, positions in sides:
        if positions.min() < 0 or positions.max() >= rows.shards.size:
            raise ValueError(
                f"triplets name rows {int(positions.min())}..{int(positions.max())} of the {name}, "
                f"which has rows 0..{rows.shards.size - 1}"
            )
    return triplets


def _in_order(
    queries: Embedded, gallery: Embedded, triplets: Int[Tensor, "t 3"]
) -> Bool[Tensor, "t"]:
    in_order = torch.zeros(len(triplets), dtype=torch.bool, device=triplets.device)
    for rows in chunks(len(triplets), _ROWS):
        query, *others = triplets[rows].unbind(1)
        anchors = queries.shards.take(queries.embeddings, query)
        each = torch.arange(len(anchors), device=anchors.device)
        positive, negative = (
            squared_distance(anchors, each, gallery.shards.take(gallery.embeddings, other), each)
            for other in others
        )
        in_order[rows] = positive < negative
    return in_order
