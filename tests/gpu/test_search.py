"""The neighbours that FAISS and torch find on a GPU are those of the CPU, to the last index."""

import pytest
import torch

from ranklight.metrics import evaluate_retrieval
from ranklight.search import Embedded, ExactSearch, nearest, squared_distance
from ranklight.search.backends import (
    GPU_MAX_K,
    FaissOnGpu,
    choose_backend,
    faiss,
    top_k_by_faiss,
    top_k_by_torch,
)

KINDS = ["random", "tied", "duplicated", "collapsed", "almost collapsed", "far away", "half"]
SIZES = [(1, 4), (2, 1), (7, 3), (500, 16), (3000, 33)]


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


@pytest.fixture
def faiss_on_gpu(device):
    if faiss() is None or faiss().get_num_gpus() == 0:
        pytest.skip("this FAISS is not built for GPUs")
    return FaissOnGpu(device)


def test_faiss_is_chosen_up_to_its_largest_k(device, faiss_on_gpu):
    assert isinstance(choose_backend(device, GPU_MAX_K), FaissOnGpu)
    assert choose_backend(device, GPU_MAX_K + 1) is top_k_by_torch


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "d"), SIZES)
def test_faiss_on_the_gpu_finds_what_the_cpu_finds(kind, n, d, device, faiss_on_gpu):
    check(make(kind, n, d), device, faiss_on_gpu, top_k_by_faiss)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "d"), SIZES)
def test_torch_on_the_gpu_finds_what_the_cpu_finds(kind, n, d, device):
    check(make(kind, n, d), device, top_k_by_torch, top_k_by_torch)


def check(embeddings, device, backend, on_cpu):
    there = embeddings.to(device)
    for k in (1, 5, 40):
        found, expected = nearest(there, k, backend=backend), nearest(embeddings, k, backend=on_cpu)
        assert torch.equal(found.cpu(), expected)
        queries = slice(0, len(embeddings) // 3 + 1)
        found = nearest(there[queries], k, there, backend)
        assert torch.equal(found.cpu(), nearest(embeddings[queries], k, embeddings, on_cpu))


def test_faiss_finds_its_largest_k(device, faiss_on_gpu):
    embeddings = make("random", 4000, 16)
    most = GPU_MAX_K - 3
    found = ExactSearch(embeddings.to(device), most, faiss_on_gpu).nearest(
        embeddings[:20].to(device), most
    )
    expected = ExactSearch(embeddings, most, top_k_by_faiss).nearest(embeddings[:20], most)
    assert torch.equal(found.cpu(), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_reduced_precision_of_training_changes_nothing(dtype, device):
    embeddings = make("almost collapsed", 500, 16)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast(device.type, dtype):
            found = nearest(embeddings.to(device), 5, backend=top_k_by_torch)
    finally:
        torch.set_float32_matmul_precision(before)
    assert torch.equal(found.cpu(), nearest(embeddings, 5, backend=top_k_by_torch))


def test_distances_have_the_same_bits(device):
    embeddings = make("random", 500, 33)
    row, column = torch.randint(500, (2, 10_000), generator=torch.Generator().manual_seed(0))
    expected = squared_distance(embeddings, row, embeddings, column)
    there, row, column = (tensor.to(device) for tensor in (embeddings, row, column))
    assert torch.equal(squared_distance(there, row, there, column).cpu(), expected)


def test_scores_are_those_of_the_cpu(device):
    embeddings, labels = make("duplicated", 3000, 33), torch.arange(3000) % 700
    rows = Embedded(embeddings, labels)
    found = evaluate_retrieval(rows.to(device))
    assert found == pytest.approx(evaluate_retrieval(rows), rel=1e-12)
