"""Which images have the nearest labels: by `search`, or by any distance."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from numpy.typing import NDArray
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor

from ranklight.datamodules.reading.neighbour_files import (
    Neighbours,
    read_neighbours,
    write_neighbours,
)
from ranklight.kernels.chunks import chunks
from ranklight.search.backends import choose_backend, faiss
from ranklight.search.exact import ExactSearch
from ranklight.search.graph import Graph
from ranklight.search.neighbours import nearest
from ranklight.search.order import distances_of, sort_lists

EXACT_BELOW = 100_000
_LOOKAHEAD = 2
_ROWS = 1 << 14
_ELEMENTS = 1 << 22
_SAMPLE = 1000
_MIN_EFFORT, _MAX_EFFORT = 24, 2048
_VERSION = 1

LabelDistance = Callable[[Tensor, Tensor], Tensor]
"""(labels "b ...", all labels "n ...") -> distances "b n"."""


def label_neighbours(
    labels: Shaped[Tensor, "n ..."] | Shaped[np.ndarray, "n ..."],
    k: int,
    inner_product: bool = False,
    least_recall: float = 0.9,
    cache_dir: str | None = None,
) -> Neighbours:
    """The k nearest labels of each: O(n·k) memory beside the labels.

    Nearest is by ‖y_i − y_j‖, or with `inner_product` by 1 − ⟨y_i, y_j⟩, for vectors that were
    prepared so that this is their distance. At equal distance the smaller index comes first. Below
    100,000 images every pair is compared (`search.ExactSearch`), and the lists are exact; those by
    inner product but for the rounding of float32. From there on `search.graph.Graph` is searched,
    as hard as it takes to find `least_recall` of the true neighbours of 1,000 sampled images; the
    log says what was reached. The same labels give the same lists.

    Args:
        labels: One row an image; more axes are flattened.
        k: Neighbours of each; 0 finds none.
        inner_product: See above.
        least_recall: Of the index, 0..1; larger takes longer.
        cache_dir: A folder where lists are kept, by the content of the labels and the arguments,
            and read back when they are asked for again.

    Raises:
        ValueError: Labels are not finite (names the row) or all equal, or fewer than k others.
    """
    array = _finite_vectors(labels)
    vectors = torch.from_numpy(array)
    _check_count(k, len(vectors))
    if not k:
        return Neighbours(np.zeros((len(vectors), 0), np.int64), np.zeros((len(vectors), 0)), 1.0)
    file = cache_dir and _cache_file(Path(cache_dir), array, k, inner_product, least_recall)
    if file and Path(file).is_file():
        return read_neighbours(str(file), len(vectors))
    if len(vectors) < EXACT_BELOW or faiss() is None:
        found, recall = _exact(vectors, k, inner_product), 1.0
    else:
        found, recall = _by_graph(vectors, k, inner_product, least_recall)
    neighbours = Neighbours(*_lists(vectors, found, k, inner_product), recall)
    _warn_of_duplicates(neighbours)
    if file:
        write_neighbours(str(file), neighbours)
    return neighbours


def neighbours_by(distance: LabelDistance, labels: Shaped[Tensor, "n ..."], k: int) -> Neighbours:
    """The k nearest labels of each by any distance, in blocks of rows, exact.

    At equal distance the smaller index comes first. Time O(n²), memory O(n·k) and a block.

    Args:
        distance: From some labels and all labels to a matrix; smaller is nearer. It need not be
            symmetric, nor satisfy the triangle inequality.
        labels: Whatever `distance` takes.
        k: Neighbours of each.

    Raises:
        ValueError: A label or a distance is not a number (names the row), all distances are equal,
            or there are fewer than k others.
    """
    n = len(labels)
    _check_count(k, n)
    _check_finite(labels.numpy())
    index, nearest = np.empty((n, k), np.int64), np.empty((n, k))
    lowest, highest = np.inf, -np.inf
    for rows in chunks(n, max(1, _ELEMENTS // n)):
        block = distance(labels[rows], labels).double()
        if block.isnan().any():
            row = rows.start + int(block.isnan().any(1).nonzero()[0])
            raise ValueError(f"a label distance of image {row} is NaN: it has no nearest labels")
        own = torch.arange(rows.start, rows.stop)
        block[own - rows.start, own] = torch.inf
        others = block[block < torch.inf]
        lowest, highest = min(lowest, float(others.min())), max(highest, float(others.max()))
        index[rows], nearest[rows] = _first_by_distance(block, k)
    if lowest == highest and n > 2:
        raise ValueError(f"all label distances of {n} images are {lowest:g}: nothing to rank")
    neighbours = Neighbours(index, nearest, 1.0)
    _warn_of_duplicates(neighbours)
    return neighbours


def _finite_vectors(labels: Tensor | NDArray[np.generic]) -> NDArray[np.float32]:
    array = np.asarray(labels)
    vectors = np.ascontiguousarray(array.reshape(len(array), -1), dtype=np.float32)
    _check_finite(array)
    if len(vectors) > 1 and (vectors == vectors[0]).all():
        raise ValueError(f"all {len(vectors)} labels are equal: there is nothing to rank")
    return vectors


def _check_finite(labels: NDArray[np.generic]) -> None:
    finite = np.isfinite(labels).reshape(len(labels), -1).all(1)
    if not finite.all():
        row = int((~finite).argmax())
        raise ValueError(
            f"{(~finite).sum()} of {len(labels)} labels hold NaN or infinity, the first is that of "
            f"image {row}: {labels[row].tolist()}"
        )


def _check_count(k: int, images: int) -> None:
    if not 0 <= k < max(images, 1):
        raise ValueError(f"neighbours must be 0..{images - 1}, the others of each image; got {k}")


def _warn_of_duplicates(neighbours: Neighbours) -> None:
    duplicates = int((neighbours.distance[:, :1] == 0).sum())
    if duplicates:
        rank_zero_warn(
            f"{duplicates} of {len(neighbours.index)} images have another with an equal label: a "
            "loss on ratios of label distances sees log(epsilon) there"
        )


def _exact(
    vectors: Float[Tensor, "n d"],
    k: int,
    inner_product: bool,
    images: Int[Tensor, "b"] | None = None,
) -> Int[Tensor, "b c"]:
    """What holds the k nearest of these images, of all by default."""
    if inner_product:
        # the image itself, and a few more, so that no rounding keeps out one of the k
        num_candidates = min(k + 1 + _LOOKAHEAD, len(vectors))
        backend = choose_backend(vectors.device, num_candidates)
        return backend(vectors if images is None else vectors[images], vectors, num_candidates)[1]
    if images is None:
        return nearest(vectors, k)
    return ExactSearch(vectors, k).nearest(vectors[images], k, images)


def _by_graph(
    vectors: Float[Tensor, "n d"], k: int, inner_product: bool, least_recall: float
) -> tuple[Int[Tensor, "n c"], float]:
    n, num_candidates = len(vectors), k + 1 + _LOOKAHEAD
    graph = Graph(vectors, inner_product)
    sample = torch.from_numpy(np.linspace(0, n - 1, _SAMPLE).astype(np.int64))
    true = _exact(vectors, k, inner_product, sample)
    farthest = _lists(vectors, true, k, inner_product, sample)[1][:, -1:]
    recall, effort = 0.0, _MIN_EFFORT
    while recall < least_recall and effort < _MAX_EFFORT:
        effort += effort // 2
        found = graph.search(vectors[sample], num_candidates, effort)
        distance = _lists(vectors, found, k, inner_product, sample)[1]
        recall = float((distance <= farthest).mean())
    rank_zero_info(
        f"nearest labels: a graph of {n} labels, {effort} candidates kept in each search, finds "
        f"{recall:.4f} of the {k} nearest"
    )
    found = torch.empty(n, num_candidates, dtype=torch.int32)
    for rows in chunks(n, _ROWS):
        found[rows] = graph.search(vectors[rows], num_candidates, effort)
    return found, recall


def _lists(
    vectors: Float[Tensor, "n d"],
    found: Int[Tensor, "b c"],
    k: int,
    inner_product: bool,
    images: Int[Tensor, "b"] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The k nearest of what was found, without the image itself, by exact distance, then index."""
    images = torch.arange(len(vectors)) if images is None else images
    index, distance = np.empty((len(found), k), np.int64), np.empty((len(found), k))
    for rows in chunks(len(found), _ROWS):
        own, others = vectors[images[rows]], found[rows].long()
        others = others.masked_fill(others == images[rows, None], -1)
        far = (
            1 - (own[:, None].double() * vectors[others]).sum(2)
            if inner_product
            else distances_of(own, vectors, others).sqrt()
        )
        far, others = sort_lists(far.masked_fill(others < 0, torch.inf), others)
        index[rows], distance[rows] = others[:, :k].numpy(), far[:, :k].numpy()
    return index, distance


def _first_by_distance(
    block: Float[Tensor, "b n"], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Where the k smallest of each row are, by value, then by column."""
    within = block <= block.kthvalue(max(k, 1), dim=1, keepdim=True).values
    row, column = within.numpy().nonzero()
    distance = block.numpy()[row, column]
    order = np.lexsort((column, distance, row))
    counts = np.bincount(row, minlength=len(block))
    first = order[(np.cumsum(counts) - counts)[:, None] + np.arange(k)]
    return column[first], distance[first]


def _cache_file(
    folder: Path, vectors: NDArray[np.float32], k: int, inner_product: bool, least_recall: float
) -> Path:
    arguments = f"{_VERSION} {k} {inner_product} {least_recall} {vectors.shape}"
    digest = hashlib.sha256(arguments.encode() + vectors.tobytes()).hexdigest()[:16]
    return folder / f"neighbours-{digest}.npz"
