"""Scores on given triplets (query, positive, negative): is the positive nearer?"""

import csv
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ranklight.kernels.chunks import chunks
from ranklight.search.exact import ExactSearch, check_finite, rows_for, squared_distance
from ranklight.search.sharded import Prepare, ShardedSearch
from ranklight.search.shards import Shards, check_both_shared

_ROWS = 1024


def similarity_precision(
    queries: Float[Tensor, "n d"],
    gallery: Float[Tensor, "m d"],
    triplets: Int[Tensor, "t 3"],
    shards: Shards | None = None,
    gallery_shards: Shards | None = None,
) -> Float[Tensor, ""]:
    """Share of triplets whose positive is nearer to the query than their negative.

    Wang et al., CVPR 2014, arXiv 1404.4661. Distances are those of `squared_distance`, the same on
    every device; at equal distance a triplet is not in order.

    Args:
        queries: Embeddings.
        gallery: Embeddings.
        triplets: Places of the query, and of positive and negative in the gallery; the same on
            every rank.
        shards: Which rows `queries` are, where ranks share them; all of them by default.
        gallery_shards: The same of the gallery.
    """
    shards = shards or Shards.alone(len(queries))
    gallery_shards = gallery_shards or Shards.alone(len(gallery))
    return _in_order(queries, gallery, triplets, shards, gallery_shards).double().mean()


def score_at_top_k(
    queries: Float[Tensor, "n d"],
    gallery: Float[Tensor, "m d"],
    triplets: Int[Tensor, "t 3"],
    k: int = 30,
    search: Prepare = ExactSearch,
    shards: Shards | None = None,
    gallery_shards: Shards | None = None,
) -> Int[Tensor, ""]:
    """Triplets in order less those that are not, of those that show among the k nearest.

    Counted are triplets whose positive **or** negative is among the k nearest of the query, by the
    rules of `ExactSearch`. Wang et al., CVPR 2014, arXiv 1404.4661, with k = 30 among the 1,000
    images of the query's text search; here among the whole gallery. It is a number of triplets and
    grows with the file: compare it on one file only.

    Args:
        queries: Embeddings.
        gallery: Embeddings.
        triplets: As `similarity_precision` takes them.
        k: How far to look; larger counts more triplets.
        search: Prepares the gallery: exact, or a `search.ApproximateSearch`.
        shards: Which rows `queries` are, where ranks share them; all of them by default.
        gallery_shards: The same of the gallery.
    """
    if k < 1:
        raise ValueError(f"score-at-top-K needs a K of 1 or more, not {k}")
    shards = shards or Shards.alone(len(queries))
    gallery_shards = gallery_shards or Shards.alone(len(gallery))
    lists = torch.full((len(queries), k), -1, device=queries.device)
    parts = list(chunks(len(queries), rows_for(k)))
    searcher = ShardedSearch(gallery, gallery_shards, k, search)
    asked = ((queries[rows], k, None) for rows in parts)
    for found, rows in zip(searcher.lists(asked), parts, strict=True):
        lists[rows] = found
    shown = torch.zeros(len(triplets), dtype=torch.bool, device=triplets.device)
    for rows in chunks(len(triplets), _ROWS):
        found = shards.pick(lists, triplets[rows, 0])
        shown[rows] = (found[:, :, None] == triplets[rows, None, 1:]).flatten(1).any(1)
    signs = torch.where(_in_order(queries, gallery, triplets, shards, gallery_shards), 1, -1)
    return torch.where(shown, signs, 0).sum()


def evaluate_triplets(
    queries: Float[Tensor, "n d"],
    gallery: Float[Tensor, "m d"],
    triplets: Int[Tensor, "t 3"],
    k: int = 30,
    search: Prepare = ExactSearch,
    shards: Shards | None = None,
    gallery_shards: Shards | None = None,
) -> dict[str, float]:
    """`similarity_precision`, `score@K` and the number of `triplets`; the arguments as above.

    Raises:
        ValueError: No triplet, or embeddings that are not finite.
    """
    if not len(triplets):
        raise ValueError("there are no triplets to score")
    check_both_shared(shards, gallery_shards)
    check_finite(queries, shards)
    check_finite(gallery, gallery_shards)
    rows = {"shards": shards, "gallery_shards": gallery_shards}
    return {
        "similarity_precision": similarity_precision(queries, gallery, triplets, **rows).item(),
        f"score@{k}": score_at_top_k(queries, gallery, triplets, k, search, **rows).item(),
        "triplets": len(triplets),
    }


def read_triplets(
    path: str, query_names: Sequence[str], gallery_names: Sequence[str]
) -> Int[Tensor, "t 3"]:
    """Triplets of a CSV file under the header `query,positive,negative`, as rows.

    Args:
        path: The file.
        query_names: The name of each query, as in the first column.
        gallery_names: The name of each image of the gallery, as in the others.

    Raises:
        ValueError: Another header, no triplet, or an unknown image; names file and line.
    """
    queries = {name: row for row, name in enumerate(query_names)}
    gallery = {name: row for row, name in enumerate(gallery_names)}
    triplets = []
    with Path(path).open(newline="") as file:
        lines = csv.reader(file)
        header = next(lines, [])
        if [name.strip() for name in header] != ["query", "positive", "negative"]:
            raise ValueError(f"{path} must begin with query,positive,negative; it has {header}")
        for names in lines:
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


def _in_order(
    queries: Tensor, gallery: Tensor, triplets: Tensor, shards: Shards, gallery_shards: Shards
) -> Bool[Tensor, "t"]:
    in_order = torch.zeros(len(triplets), dtype=torch.bool, device=triplets.device)
    for rows in chunks(len(triplets), _ROWS):
        query, *others = triplets[rows].unbind(1)
        anchors = shards.pick(queries, query)
        each = torch.arange(len(anchors), device=anchors.device)
        positive, negative = (
            squared_distance(anchors, each, gallery_shards.pick(gallery, other), each)
            for other in others
        )
        in_order[rows] = positive < negative
    return in_order
