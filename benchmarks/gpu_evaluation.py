"""Retrieval scores on a GPU, beside all inner products and nothing else.

The memory is torch's; FAISS's tiles of scores, up to 1 GiB, are outside of it.
"""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.measure import Comparison, compare_on_gpu
from ranklight.metrics import evaluate_retrieval
from ranklight.search import Embedded, ExactSearch
from ranklight.search.backends import TopKBackend, top_k_by_torch

_TILE = 1 << 28


def main(device: str = "cuda") -> bool:
    return compare_on_gpu(
        "Retrieval scores: Recall@1,2,4,8, R-precision, MAP@R (limit: the N x N product)",
        [
            _row("search and scores", 60_000, 512, 11_300, device),
            _row("the same in plain torch", 60_000, 512, 11_300, device, top_k_by_torch),
            _row("search and scores", 1_000_000, 128, 200_000, device),
        ],
    )


def _row(
    item: str, n: int, dim: int, classes: int, device: str, backend: TopKBackend | None = None
) -> Comparison:
    torch.manual_seed(0)
    labels = torch.arange(n, device=device) % classes
    centers = F.normalize(torch.randn(classes, dim, device=device))
    noise = torch.randn(n, dim, device=device) / dim**0.5
    embeddings = F.normalize(centers[labels] + 1.3 * noise)
    return Comparison(
        item=item,
        size=f"{n:,} x {dim}, {classes:,} classes",
        peer=None,
        ours=lambda: evaluate_retrieval(
            Embedded(embeddings, labels), search=partial(ExactSearch, backend=backend)
        ),
        limit=lambda: _product(embeddings),
        repeats=3,
    )


def _product(embeddings: Tensor) -> None:
    """Every inner product, tile by tile into one buffer."""
    rows = max(1, _TILE // len(embeddings))
    tile = embeddings.new_empty(rows, len(embeddings))
    for start in range(0, len(embeddings), rows):
        block = embeddings[start : start + rows]
        torch.mm(block, embeddings.T, out=tile[: len(block)])
