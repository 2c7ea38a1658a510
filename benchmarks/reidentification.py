"""mAP and CMC with same-camera junk, at the size of Market-1501, against NumPy and plain search.

The peer is the protocol as its Python evaluators compute it: the whole matrix of distances, sorted,
then one query after another. Plain search is ours where nothing is junk: what junk costs.
"""

from functools import partial

import faiss
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.evaluation import product
from benchmarks.measure import Comparison, compare_with_peer
from ranklight.metrics import ClassAnswers, Scoring, evaluate_retrieval
from ranklight.search import Embedded

_QUERIES, _GALLERY, _PEOPLE, _CAMERAS = 3368, 19_732, 751, 6
_KS = (1, 5, 10)
_VIEW, _NOISE = 0.8, 1.0
_WHOLE = Scoring(at_r=False, whole_ranking=True)
_TO_100 = Scoring(at_r=False, average_precision=(100,))


def main() -> bool:
    faiss.omp_set_num_threads(1)
    rows = [row for d in (512, 2048) for row in (_against_numpy(d), _against_plain_search(d))]
    title = f"mAP, {_QUERIES:,} x {_GALLERY:,}, {_PEOPLE} people, {_CAMERAS} cameras"
    return compare_with_peer(f"{title} (limit: the product)", rows)


def _against_numpy(dimensions: int) -> Comparison:
    queries, gallery = _images(dimensions)
    return Comparison(
        item="mAP and CMC with junk; peer: NumPy, the matrix sorted",
        size=f"d {dimensions:,}",
        peer=lambda: by_numpy(queries, gallery),
        ours=lambda: with_junk(queries, gallery),
        limit=lambda: product(queries.embeddings, gallery.embeddings),
        at_least=0.5,
        memory=512,
        repeats=1,
    )


def _against_plain_search(dimensions: int) -> Comparison:
    queries, gallery = _images(dimensions)
    return Comparison(
        item="mAP@100 and CMC with junk; peer: ours without junk",
        size=f"d {dimensions:,}",
        peer=lambda: evaluate_retrieval(queries, gallery, _KS, scoring=_TO_100),
        ours=lambda: with_junk(queries, gallery, _TO_100),
        limit=lambda: product(queries.embeddings, gallery.embeddings),
        at_least=1 / 1.1,
        repeats=5,
    )


def with_junk(queries: Embedded, gallery: Embedded, scoring: Scoring = _WHOLE) -> dict[str, float]:
    """Ours: `recall@K` is the CMC at rank K."""
    answers = partial(ClassAnswers, apart="class_and_group")
    return evaluate_retrieval(queries, gallery, _KS, scoring=scoring._replace(answers=answers))


def by_numpy(queries: Embedded, gallery: Embedded) -> dict[str, float]:
    """A query's gallery is what is not of the same person in the same camera."""
    people, cameras = _numbers(gallery)
    order = np.argsort(_distances(queries, gallery), axis=1)
    precisions, hits_at = [], []
    for ranking, person, camera in zip(order, *_numbers(queries), strict=True):
        ranked = ranking[(people[ranking] != person) | (cameras[ranking] != camera)]
        hit = people[ranked] == person
        if hit.any():
            places = np.flatnonzero(hit)
            precisions.append(np.mean(np.arange(1, len(places) + 1) / (places + 1)))
            hits_at.append([places[0] < k for k in _KS])
    recalls = np.mean(hits_at, axis=0)
    named = {f"recall@{k}": float(recall) for k, recall in zip(_KS, recalls, strict=True)}
    return {**named, "map": float(np.mean(precisions)), "queries": len(precisions)}


def _distances(queries: Embedded, gallery: Embedded) -> NDArray[np.float32]:
    ours, theirs = queries.embeddings.numpy(), gallery.embeddings.numpy()
    with threadpool_limits(1):
        return (ours**2).sum(1)[:, None] + (theirs**2).sum(1) - 2 * ours @ theirs.T


def _numbers(rows: Embedded) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    assert rows.groups is not None, "every image has a camera"
    return rows.labels.numpy(), rows.groups.numpy()


def _images(dimensions: int) -> tuple[Embedded, Embedded]:
    """People about centers of their own, each seen from somewhere else by each camera."""
    draw = torch.Generator().manual_seed(0)
    centers = torch.randn(_PEOPLE, dimensions, generator=draw)
    views = torch.randn(_CAMERAS, dimensions, generator=draw)
    sides = []
    for rows in (_QUERIES, _GALLERY):
        person = torch.randint(_PEOPLE, (rows,), generator=draw)
        camera = torch.randint(_CAMERAS, (rows,), generator=draw)
        noise = torch.randn(rows, dimensions, generator=draw)
        seen = centers[person] + _VIEW * views[camera] + _NOISE * (dimensions / 512) ** 0.25 * noise
        sides.append(Embedded(F.normalize(seen), person, groups=camera))
    return sides[0], sides[1]


if __name__ == "__main__":
    main()
