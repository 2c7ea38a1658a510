"""Which images have the nearest labels: found by FAISS, or by any distance."""

import hashlib
import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Shaped
from numpy.typing import NDArray
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor

from ranklight.datamodules.reading.neighbour_files import (
    Neighbours,
    read_neighbours,
    write_neighbours,
)
from ranklight.kernels.chunks import chunks

faiss: Any = importlib.import_module("faiss") if importlib.util.find_spec("faiss") else None

EXACT_BELOW = 100_000
_LOOKAHEAD = 2
_ROWS = 1 << 14
_ELEMENTS = 1 << 22
_SAMPLE = 1000
_LINKS, _BUILD_EFFORT = 24, 60
_LEAST_EFFORT, _MOST_EFFORT = 24, 2048
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
    """The k nearest labels of each, by FAISS: O(n·k) memory beside the labels.

    Nearest is by ‖y_i − y_j‖, or with `inner_product` by 1 − ⟨y_i, y_j⟩, for vectors that were
    prepared so that this is their distance. At equal distance the smaller index comes first. Below
    100,000 images every pair is compared, and the result is exact but for the rounding of float32.
    From there on a graph is searched (HNSW, Malkov, Yashunin, arXiv 1603.09320, 24 links a node),
    as hard as it takes to find `least_recall` of the true neighbours of 1,000 sampled images; the
    log says what was reached. The graph is built on one thread, so the same labels give the same
    lists.

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
    vectors = _finite_vectors(labels)
    _refuse_too_many(k, len(vectors))
    if not k:
        return Neighbours(np.zeros((len(vectors), 0), np.int64), np.zeros((len(vectors), 0)), 1.0)
    file = cache_dir and _cache_file(Path(cache_dir), vectors, k, inner_product, least_recall)
    if file and Path(file).is_file():
        return read_neighbours(str(file), len(vectors))
    if len(vectors) < EXACT_BELOW or faiss is None:
        found, recall = _settled(vectors, _exact(vectors, k, inner_product), k, inner_product), 1.0
    else:
        found, recall = _by_index(vectors, k, inner_product, least_recall)
    neighbours = Neighbours(*found, recall)
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
    _refuse_too_many(k, n)
    _refuse_not_finite(labels.numpy())
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
    _refuse_not_finite(array)
    if len(vectors) > 1 and (vectors == vectors[0]).all():
        raise ValueError(f"all {len(vectors)} labels are equal: there is nothing to rank")
    return vectors


def _refuse_not_finite(labels: NDArray[np.generic]) -> None:
    finite = np.isfinite(labels).reshape(len(labels), -1).all(1)
    if not finite.all():
        row = int((~finite).argmax())
        raise ValueError(
            f"{(~finite).sum()} of {len(labels)} labels hold NaN or infinity, the first is that of "
            f"image {row}: {labels[row].tolist()}"
        )


def _refuse_too_many(k: int, images: int) -> None:
    if not 0 <= k < max(images, 1):
        raise ValueError(f"{k} neighbours are asked for, but each image has {images - 1} others")


def _warn_of_duplicates(neighbours: Neighbours) -> None:
    duplicates = int((neighbours.distance[:, :1] == 0).sum())
    if duplicates:
        rank_zero_warn(
            f"{duplicates} of {len(neighbours.index)} images have another with an equal label: a "
            "loss on ratios of label distances sees log(epsilon) there"
        )


def _exact(vectors: NDArray[np.float32], k: int, inner_product: bool) -> NDArray[np.int64]:
    asked = min(k + 1 + _LOOKAHEAD, len(vectors))
    found = np.empty((len(vectors), asked), np.int64)
    for rows in chunks(len(vectors), _ROWS):
        found[rows] = _compare_all(vectors[rows], vectors, asked, inner_product)
    return found


def _compare_all(
    queries: NDArray[np.float32], vectors: NDArray[np.float32], k: int, inner_product: bool
) -> NDArray[np.int64]:
    if faiss is not None:
        metric = faiss.METRIC_INNER_PRODUCT if inner_product else faiss.METRIC_L2
        index: NDArray[np.int64] = faiss.knn(queries, vectors, k, metric=metric)[1]
        return index
    some, all_ = torch.from_numpy(queries), torch.from_numpy(vectors)
    parts = []
    for rows in chunks(len(some), max(1, _ELEMENTS // len(all_))):
        far = -some[rows] @ all_.T if inner_product else torch.cdist(some[rows], all_)
        parts.append(far.topk(k, largest=False).indices)
    return torch.cat(parts).numpy()


def _by_index(
    vectors: NDArray[np.float32], k: int, inner_product: bool, least_recall: float
) -> tuple[tuple[NDArray[np.int64], NDArray[np.float64]], float]:
    n, asked = len(vectors), k + 1 + _LOOKAHEAD
    index = _graph(vectors, inner_product)
    sample = np.linspace(0, n - 1, _SAMPLE).astype(np.int64)
    true = _compare_all(vectors[sample], vectors, asked, inner_product)
    farthest = _settled(vectors, true, k, inner_product, sample)[1][:, -1:]
    recall, effort = 0.0, _LEAST_EFFORT
    while recall < least_recall and effort < _MOST_EFFORT:
        effort += effort // 2
        index.hnsw.efSearch = effort
        found = index.search(vectors[sample], asked)[1]
        distance = _settled(vectors, found, k, inner_product, sample)[1]
        recall = float((distance <= farthest).mean())
    rank_zero_info(
        f"nearest labels: a graph of {n} labels, {effort} candidates kept in each search, finds "
        f"{recall:.4f} of the {k} nearest"
    )
    found = np.empty((n, asked), np.int32)
    for rows in chunks(n, _ROWS):
        found[rows] = index.search(vectors[rows], asked)[1]
    return _settled(vectors, found, k, inner_product), recall


def _graph(vectors: NDArray[np.float32], inner_product: bool) -> Any:
    """Built on one thread: on several, the graph and what it finds change from run to run."""
    metric = faiss.METRIC_INNER_PRODUCT if inner_product else faiss.METRIC_L2
    index = faiss.IndexHNSWFlat(vectors.shape[1], _LINKS, metric)
    index.hnsw.efConstruction = _BUILD_EFFORT
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        index.add(vectors)
    finally:
        faiss.omp_set_num_threads(threads)
    return index


def _settled(
    vectors: NDArray[np.float32],
    found: NDArray[np.integer],
    k: int,
    inner_product: bool,
    images: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The k nearest of what was found, without the image itself, by exact distance, then index."""
    images = np.arange(len(vectors)) if images is None else images
    index, nearest = np.empty((len(found), k), np.int64), np.empty((len(found), k))
    for rows in chunks(len(found), _ROWS):
        own, others = vectors[images[rows], None].astype(np.float64), found[rows]
        if inner_product:
            distance = 1 - (own * vectors[others]).sum(2)
        else:
            distance = np.sqrt(np.square(own - vectors[others]).sum(2))
        distance[(others == images[rows, None]) | (others < 0)] = np.inf
        order = np.lexsort((others, distance), axis=1)[:, :k]
        index[rows] = np.take_along_axis(others, order, 1)
        nearest[rows] = np.take_along_axis(distance, order, 1)
    return index, nearest


def _first_by_distance(
    block: Float[Tensor, "b n"], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Where the k smallest of each row are, by value, then by column."""
    within = block <= block.kthvalue(max(k, 1), dim=1, keepdim=True).values
    row, column = within.numpy().nonzero()
    distance = block.numpy()[row, column]
    order = np.lexsort((column, distance, row))
    counts = np.bincount(row, minlength=len(block))
    places = order[(np.cumsum(counts) - counts)[:, None] + np.arange(k)]
    return column[places], distance[places]


def _cache_file(
    folder: Path, vectors: NDArray[np.float32], k: int, inner_product: bool, least_recall: float
) -> Path:
    asked = f"{_VERSION} {k} {inner_product} {least_recall} {vectors.shape}"
    digest = hashlib.sha256(asked.encode() + vectors.tobytes()).hexdigest()[:16]
    return folder / f"neighbours-{digest}.npz"
