"""The order of neighbours: by float64 distance, summed in a fixed order, then by index."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad

from ranklight.kernels.checks import (
    check_integers,
    check_values_are_there,
    check_vectors,
    check_within,
)
from ranklight.kernels.chunks import chunks

_CACHED = 1 << 16


def squared_distance(
    queries: Float[Tensor, "n d"],
    rows: Int[Tensor, "p"],
    gallery: Float[Tensor, "m d"],
    columns: Int[Tensor, "p"],
) -> Float[Tensor, "p"]:
    """Σ (q − g)² in float64 of pairs (row, column): the same bits on every device.

    The sum folds the second half of the dimensions onto the first until one is left; so its order
    depends on nothing but their number, and equal rows get equal distances.

        >>> points = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
        >>> squared_distance(points, torch.tensor([0, 1]), points, torch.tensor([1, 1]))
        tensor([25.,  0.], dtype=torch.float64)

    Raises:
        TypeError: Points are no floats, or rows and columns no integers.
        ValueError: Dimensions differ, there is not one column a row, or on the CPU there is no
            such row or column.
    """
    _check_pairs(queries, rows, gallery, columns)
    queries, gallery = queries.detach(), gallery.detach()
    rows, columns = rows.long(), columns.long()
    width = 1 << (queries.shape[1] - 1).bit_length()
    distance = torch.empty(len(rows), dtype=torch.float64, device=queries.device)
    for pairs in chunks(len(rows), max(1, _CACHED // width)):
        terms = queries[rows[pairs]].double().sub_(gallery[columns[pairs]]).square_()
        distance[pairs] = folded_sum(terms)
    return distance


def folded_sum(terms: Float[Tensor, "*n d"]) -> Float[Tensor, "*n"]:
    """Sum over the last dimension, in an order that nothing but its size decides.

    The second half is folded onto the first until one is left.
    """
    width = 1 << (terms.shape[-1] - 1).bit_length()
    if terms.shape[-1] < width:
        terms = pad(terms, (0, width - terms.shape[-1]))
    while terms.shape[-1] > 1:
        half = terms.shape[-1] // 2
        terms = terms[..., :half] + terms[..., half:]
    return terms.squeeze(-1)


def distances_of(
    queries: Float[Tensor, "n d"], gallery: Float[Tensor, "m d"], found: Int[Tensor, "n k"]
) -> Float[Tensor, "n k"]:
    """`squared_distance` to each neighbour of a list, infinite where it is −1."""
    row, column = (found >= 0).nonzero(as_tuple=True)
    distance = torch.full(found.shape, torch.inf, dtype=torch.float64, device=found.device)
    distance[row, column] = squared_distance(queries, row, gallery, found[row, column])
    return distance


def sort_lists(
    distance: Float[Tensor, "n k"], found: Int[Tensor, "n k"]
) -> tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]:
    """Each list by distance, at equal distance by index."""
    by_index = found.argsort(dim=1)
    order = by_index.gather(1, distance.gather(1, by_index).argsort(dim=1, stable=True))
    return distance.gather(1, order), found.gather(1, order)


def empty_lists(
    rows: int, k: int, device: torch.device
) -> tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]:
    """Distances and indices of lists in which nothing is yet."""
    found = torch.full((rows, k), -1, device=device)
    return torch.full(found.shape, torch.inf, dtype=torch.float64, device=device), found


def merge_lists(
    distance: Float[Tensor, "n k"],
    found: Int[Tensor, "n k"],
    new_distance: Float[Tensor, "n j"],
    new_found: Int[Tensor, "n j"],
) -> tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]:
    """The k first of two lists of each row, which share no index."""
    both = torch.cat([distance, new_distance], 1), torch.cat([found, new_found], 1)
    ordered, indices = sort_lists(*both)
    return ordered[:, : found.shape[1]], indices[:, : found.shape[1]]


def sort_within(
    run: Int[Tensor, "p"], distance: Float[Tensor, "p"], index: Int[Tensor, "p"]
) -> Int[Tensor, "p"]:
    """Indices sorted by distance, then by themselves, within each run; the runs ascend."""
    order = index.argsort(stable=True)
    order = order[distance[order].argsort(stable=True)]
    order = order[run[order].argsort(stable=True)]
    return index[order]


def _check_pairs(queries: Tensor, rows: Tensor, gallery: Tensor, columns: Tensor) -> None:
    check_values_are_there(queries=queries, gallery=gallery, rows=rows, columns=columns)
    check_vectors(queries=queries, gallery=gallery)
    check_integers(rows=rows, columns=columns)
    if queries.shape[1] != gallery.shape[1] or rows.shape != columns.shape:
        raise ValueError(
            "pairs need points of one dimension and a column a row; got "
            f"{queries.shape[1]} and {gallery.shape[1]} dimensions, {len(rows)} rows and "
            f"{len(columns)} columns"
        )
    check_within(rows, len(queries), "rows of the queries")
    check_within(columns, len(gallery), "rows of the gallery")
