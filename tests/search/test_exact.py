"""The neighbours against sorting all pairs, on data where ties and rounding decide."""

import pytest
import torch

from ranklight.search import ExactSearch, nearest, squared_distance
from ranklight.search import backends as module
from ranklight.search.backends import top_k_by_faiss, top_k_by_torch

BACKENDS = [None, top_k_by_faiss, top_k_by_torch]
KINDS = ["random", "tied", "duplicated", "collapsed", "almost collapsed", "far away", "half"]


def make(kind, n, d):
    generator = torch.Generator().manual_seed(n * 100 + d)
    random = torch.randn(n, d, generator=generator)
    if kind == "tied":
        return torch.randint(0, 2, (n, d), generator=generator).float()
    if kind == "duplicated":
        return random[torch.randint(0, max(1, n // 4), (n,), generator=generator)]
    if kind == "collapsed":
        return torch.full((n, d), 0.3)
    if kind == "almost collapsed":
        return 0.3 + 1e-7 * random
    if kind == "far away":
        return 1e4 * random.double() + 1e8
    return random.half() if kind == "half" else random


def by_sorting(queries, k, gallery=None):
    """Sort (distance, index) of all pairs."""
    among = queries if gallery is None else gallery
    found = torch.full((len(queries), k), -1)
    for i in range(len(queries)):
        columns = [j for j in range(len(among)) if gallery is not None or j != i]
        rows = torch.full((len(columns),), i)
        distances = squared_distance(queries, rows, among, torch.tensor(columns, dtype=torch.long))
        ranked = sorted(zip(distances.tolist(), columns, strict=True))[:k]
        found[i, : len(ranked)] = torch.tensor([j for _, j in ranked], dtype=torch.long)
    return found


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "d"), [(1, 4), (2, 1), (7, 3), (120, 16), (120, 33)])
def test_order_is_that_of_sorting_all_pairs(kind, n, d, backend):
    embeddings = make(kind, n, d)
    for k in (1, 4, 20):
        assert torch.equal(nearest(embeddings, k, backend=backend), by_sorting(embeddings, k))
        queries = embeddings[: n // 3 + 1]
        found = nearest(queries, k, embeddings, backend)
        assert torch.equal(found, by_sorting(queries, k, embeddings))


def test_equal_distances_go_by_index_across_the_end_of_the_list():
    gallery = torch.tensor([[2.0], [1.0], [-1.0], [1.0], [-1.0], [1.0]])
    for backend in BACKENDS:
        for k in range(1, 7):
            found = nearest(torch.zeros(1, 1), k, gallery, backend)
            assert found.tolist() == [[1, 2, 3, 4, 5, 0][:k]]


def test_a_query_is_left_out_by_index_among_its_copies():
    found = nearest(torch.ones(6, 8), 2)
    assert found.tolist() == [[1, 2], [0, 2], [0, 1], [0, 1], [0, 1], [0, 1]]


def test_negative_zero_is_a_copy_of_zero():
    found = nearest(torch.tensor([[0.0], [-0.0], [0.0], [5.0]]), 2)
    assert found.tolist() == [[1, 2], [0, 2], [0, 1], [0, 1]]


def test_no_order_of_the_gallery_changes_what_is_found():
    embeddings = torch.nn.functional.normalize(make("random", 600, 24) + 3, dim=1)
    shuffle = torch.randperm(600, generator=torch.Generator().manual_seed(1))
    plain = nearest(embeddings[:50], 30, embeddings)
    assert torch.equal(shuffle[nearest(embeddings[:50], 30, embeddings[shuffle])], plain)


def test_lists_past_the_gallery_end_in_minus_one():
    assert nearest(torch.tensor([[0.0], [1.0]]), 3).tolist() == [[1, -1, -1], [0, -1, -1]]
    assert nearest(torch.zeros(1, 1), 2, torch.ones(1, 1)).tolist() == [[0, -1]]


@pytest.mark.parametrize("kind", ["random", "duplicated", "almost collapsed"])
def test_torch_is_exact_under_reduced_precision(kind):
    embeddings = make(kind, 200, 16)
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = nearest(embeddings, 5, backend=top_k_by_torch)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert torch.equal(found, by_sorting(embeddings, 5))


def test_faiss_stays_on_blas_and_gets_its_setting_back():
    faiss = module.faiss()
    before = faiss.cvar.distance_compute_blas_threshold
    seen = []
    knn = faiss.knn

    def spy(*args, **kwargs):
        seen.append(faiss.cvar.distance_compute_blas_threshold)
        return knn(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(faiss, "knn", spy)
        nearest(make("random", 30, 4), 3, make("random", 40, 4))
    assert seen == [1]
    assert faiss.cvar.distance_compute_blas_threshold == before


def test_without_faiss_torch_searches_and_says_so_once(monkeypatch, caplog):
    queries, gallery = make("random", 50, 4), make("random", 60, 4)
    expected = nearest(queries, 3, gallery)
    monkeypatch.setattr(module, "faiss", lambda: None)
    monkeypatch.setattr(module, "_logged", set())
    with caplog.at_level("INFO", logger="ranklight.search.backends"):
        assert torch.equal(nearest(queries, 3, gallery), expected)
        nearest(queries, 3, gallery)
    assert [record.message for record in caplog.records] == [
        "FAISS is not installed: exact search in plain torch"
    ]


def largest_on_gpu(queries, gallery, k):
    raise NotImplementedError


def test_the_backend_goes_by_device_and_k(monkeypatch):
    class Seen:
        get_num_gpus = staticmethod(lambda: 1)

    monkeypatch.setattr(module, "faiss", lambda: Seen)
    monkeypatch.setattr(module, "FaissOnGpu", lambda device: largest_on_gpu)
    first, second = torch.device("cuda", 0), torch.device("cuda", 1)
    assert module.choose_backend(torch.device("cpu"), 5000) is top_k_by_faiss
    assert module.choose_backend(first, 2048) is largest_on_gpu
    assert module.choose_backend(first, 2049) is top_k_by_torch
    assert module.choose_backend(second, 10) is top_k_by_torch


def test_says_what_is_wrong():
    embeddings = torch.ones(10, 2)
    embeddings[[3, 7], [0, 1]] = torch.tensor([torch.nan, torch.inf])
    with pytest.raises(ValueError, match=r"2 of 10 embeddings .* the first at row 3"):
        nearest(embeddings, 1)
    with pytest.raises(ValueError, match="no rows"):
        nearest(torch.ones(2, 2), 1, torch.ones(0, 2))
    with pytest.raises(ValueError, match="scale them down"):
        nearest(torch.tensor([[1e25], [-1e25]]), 1)
    with pytest.raises(ValueError, match="asked for 3 neighbours of a search prepared for 2"):
        ExactSearch(torch.ones(5, 1), 2).nearest(torch.ones(5, 1), 3)
    with pytest.raises(ValueError, match="asked for 3 neighbours of a search prepared for 2"):
        ExactSearch(torch.arange(5.0)[:, None], 2).all_nearest(3)
    for broken in (torch.nan, torch.inf):
        with pytest.raises(ValueError, match="not finite"):
            ExactSearch(torch.tensor([[0.0], [broken]]), 1)


def test_queries_with_a_gradient_are_searched_without_it():
    queries = torch.tensor([[1.9]], requires_grad=True)
    assert ExactSearch(torch.tensor([[0.0], [2.0]]), 2).nearest(queries, 2).tolist() == [[1, 0]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["spread", "ties", "close together"])
def test_long_lists_that_float64_proposes_are_in_the_same_order(dtype, kind):
    draw = torch.Generator().manual_seed(0)
    gallery = torch.randn(700, 6, generator=draw, dtype=torch.float64)
    if kind == "ties":
        gallery = torch.randint(-1, 2, (700, 6), generator=draw).double()
    if kind == "close together":
        gallery = 1 + 1e-3 * gallery
    gallery, own = gallery.to(dtype), torch.arange(30)
    for k in (260, 400, 690, 710):
        search = ExactSearch(gallery, k)
        found = search.nearest(gallery[:30], k, own)
        assert "points_in_float64" in vars(search)
        other = ExactSearch(gallery, k, top_k_by_torch)
        assert torch.equal(found, other.nearest(gallery[:30], k, own))
        assert "points_in_float64" not in vars(other)
