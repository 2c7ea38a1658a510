"""What the evaluation of 60,000 × 512 takes of a GPU beside the embeddings themselves."""

import os
import threading
import time
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from ranklight.metrics import evaluate_retrieval
from ranklight.search import Embedded, ExactSearch
from ranklight.search.backends import FaissOnGpu, faiss, top_k_by_torch

MIB = 1 << 20
N, DIM, CLASSES = 60_000, 512, 11_300
PREPARED = N * (DIM + 1) * 4
BLOCKS = 128 * MIB
# FAISS wants two tiles of scores, up to 1 GiB in all, and takes what its 64 MiB of scratch cannot
# hold from the driver.
OF_FAISS = 64 * MIB + 1024 * MIB
LOADED_CODE = 256 * MIB


@pytest.fixture(scope="module")
def rows(device):
    torch.manual_seed(0)
    labels = torch.arange(N, device=device) * CLASSES // N
    centers = F.normalize(torch.randn(CLASSES, DIM, device=device))
    noise = torch.randn(N, DIM, device=device)
    return Embedded(F.normalize(centers[labels] + 1.3 / DIM**0.5 * noise), labels)


@pytest.fixture(params=["torch", "FAISS"])
def backend(request, device):
    if request.param == "torch":
        return top_k_by_torch
    if faiss() is None or faiss().get_num_gpus() == 0:
        pytest.skip("this FAISS is not built for GPUs")
    return FaissOnGpu(device)


def test_torch_holds_one_prepared_copy_and_a_few_blocks(rows, backend):
    warm_up(rows, backend)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    scores = evaluate_retrieval(rows, search=partial(ExactSearch, backend=backend))
    assert scores["queries"] == N
    assert torch.cuda.max_memory_allocated() - before <= PREPARED + BLOCKS


@pytest.mark.skipif(
    "PYTEST_XDIST_WORKER" in os.environ, reason="others use the GPU meanwhile: run without xdist"
)
def test_all_that_is_taken_from_the_driver_is_bounded(rows, backend):
    warm_up(rows, backend)
    allowed = PREPARED + 2 * BLOCKS + LOADED_CODE
    if isinstance(backend, FaissOnGpu):
        allowed += OF_FAISS
    torch.cuda.empty_cache()
    assert (
        most_taken(lambda: evaluate_retrieval(rows, search=partial(ExactSearch, backend=backend)))
        <= allowed
    )


def warm_up(rows, backend):
    """Let kernels and workspaces be loaded."""
    few = Embedded(rows.embeddings[:5000], rows.labels[:5000])
    evaluate_retrieval(few, search=partial(ExactSearch, backend=backend))
    torch.cuda.synchronize()


def most_taken(work):
    """By how many bytes the device's free memory fell at most, seen every millisecond."""
    before, _ = torch.cuda.mem_get_info()
    least, over = [before], threading.Event()

    def look():
        while not over.is_set():
            least[0] = min(least[0], torch.cuda.mem_get_info()[0])
            time.sleep(0.001)

    watch = threading.Thread(target=look)
    watch.start()
    try:
        work()
        torch.cuda.synchronize()
    finally:
        over.set()
        watch.join()
    return before - least[0]
