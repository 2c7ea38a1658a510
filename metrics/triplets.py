"""Scores on given triplets (query, positive, negative): is the positive nearer?"""

import csv
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metrics.search import ExactSearch, Largest, blocks, check_finite, squared_distance

_ROWS = 1024


def similarity_precision(
    queries: Float[Tensor, "n d"], gallery: Float[Tensor, "m d"], triplets: Int[Tensor, "t 3"]
) -> Float[Tensor, ""]:
    """Share of triplets whose positive is nearer to the query than their negative.

    Wang et al., CVPR 2014, arXiv 1404.4661. Distances are those of `squared_distance`, the same on
    every device; at equal distance a triplet is not in order.

    Args:
        queries: Embeddings.
        gallery: Embeddings.
        triplets: Rows of the query, and of positive and negative in the gallery.
    """
    return _in_order(queries, gallery, triplets).double().mean()


def score_at_top_k(
    queries: Float[Tensor, "n d"],
    gallery: Float[Tensor, "m d"],
    triplets: Int[Tensor, "t 3"],
    k: int = 30,
    backend: Largest | None = None,
) -> Int[Tensor, ""]:
    """Triplets in order less those that are not, of those that show among the k nearest.

    Counted are triplets whose positive **or** negative is among the k nearest of the query, by the
    rules of `ExactSearch`. Wang et al., CVPR 2014, arXiv 1404.4661, with k = 30 among the 1,000
    images of the query's text search; here among the whole gallery. It is a number of triplets and
    grows with the file: compare it on one file only.

    Args:
        queries: Embeddings.
        gallery: Embeddings.
        triplets: Rows of the query, and of positive and negative in the gallery.
        k: How far to look; larger counts more triplets.
        backend: Who proposes neighbours; chosen by device by default.
    """
    if k < 1:
        raise ValueError(f"score-at-top-K needs a K of 1 or more, not {k}")
    search = ExactSearch(gallery, k, backend)
    shown = torch.zeros(len(triplets), dtype=torch.bool, device=triplets.device)
    for rows in blocks(len(triplets), _ROWS):
        query, place = torch.unique(triplets[rows, 0], return_inverse=True)
        found = search.nearest(queries[query], k)[place]
        shown[rows] = (found[:, :, None] == triplets[rows, None, 1:]).flatten(1).any(1)
    signs = torch.where(_in_order(queries, gallery, triplets), 1, -1)
    return torch.where(shown, signs, 0).sum()


def evaluate_triplets(
    queries: Float[Tensor, "n d"],
    gallery: Float[Tensor, "m d"],
    triplets: Int[Tensor, "t 3"],
    k: int = 30,
    backend: Largest | None = None,
) -> dict[str, float]:
    """`similarity_precision`, `score@K` and the number of `triplets`; the arguments as above.

    Raises:
        ValueError: No triplet, or embeddings that are not finite.
    """
    if not len(triplets):
        raise ValueError("there are no triplets to score")
    check_finite(queries)
    return {
        "similarity_precision": similarity_precision(queries, gallery, triplets).item(),
        f"score@{k}": score_at_top_k(queries, gallery, triplets, k, backend).item(),
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


def _in_order(queries: Tensor, gallery: Tensor, triplets: Tensor) -> Bool[Tensor, "t"]:
    query, positive, negative = triplets.unbind(1)
    near = squared_distance(queries, query, gallery, positive)
    return near < squared_distance(queries, query, gallery, negative)
