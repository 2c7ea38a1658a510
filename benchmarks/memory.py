"""Cross-batch memory: a batch against it, forward, backward and enqueue, beside its peer.

The peer, pytorch-metric-learning's CrossBatchMemory, compares the batch with the memory alone, into
which it put the batch first; ours has a term of the batch and one of the memory, knows an image's
own copies by their index, and measures age and drift besides. Both memories are full.
"""

import torch
import torch.nn.functional as F
from pytorch_metric_learning import distances, reducers
from pytorch_metric_learning import losses as peer_losses
from torch import Tensor, nn

from benchmarks.measure import Comparison, Work, compare_with_peer
from ranklight.losses import ContrastiveLoss, MultiSimilarityLoss
from ranklight.miners import MultiSimilarityMiner
from ranklight.pairs import CrossBatchMemory, Objective

_BATCH, _ROWS, _DIM, _CLASSES = 64, 65_536, 128, 10_000


def main() -> bool:
    peer = peer_losses.ContrastiveLoss(
        1, 0.5, distance=distances.CosineSimilarity(), reducer=reducers.MeanReducer()
    )
    rows = [
        _row("contrastive", peer, ContrastiveLoss(), None, at_most_limit=2.5),
        _row(
            "multi-similarity, mined",
            peer_losses.MultiSimilarityLoss(2, 40, 0.5),
            MultiSimilarityLoss(),
            MultiSimilarityMiner(),
        ),
    ]
    title = f"Cross-batch memory, B {_BATCH}, D {_DIM}, forward + backward + enqueue, one thread"
    return compare_with_peer(title, rows)


def _row(
    item: str,
    peer_loss: nn.Module,
    loss: nn.Module,
    miner: nn.Module | None,
    at_most_limit: float | None = None,
) -> Comparison:
    objective = Objective(loss, miner, CrossBatchMemory(_ROWS))
    peer = peer_losses.CrossBatchMemory(peer_loss, _DIM, _ROWS)
    for start in range(0, _ROWS, 4096):
        embeddings, labels = _images(4096, start)
        peer.add_to_memory(embeddings, labels, len(embeddings))
        objective.references(embeddings, labels, torch.arange(start, start + 4096))
    embeddings, labels = _images(_BATCH, 7)
    index = torch.arange(_BATCH) * 1000
    return Comparison(
        item=item,
        size=f"{_ROWS:,} rows",
        peer=_step(peer, embeddings, labels),
        ours=_step(objective, embeddings, labels, index),
        limit=_two_products(embeddings, _images(_ROWS, 0)[0]),
        at_most_limit=at_most_limit,
        memory=100,
        repeats=11,
    )


def _images(count: int, seed: int) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    embeddings = F.normalize(torch.randn(count, _DIM, generator=draw))
    return embeddings, torch.randint(_CLASSES, (count,), generator=draw)


def _step(call: nn.Module, embeddings: Tensor, *rest: Tensor) -> Work:
    def work() -> None:
        call(embeddings.clone().requires_grad_(), *rest).backward()

    return work


def _two_products(embeddings: Tensor, references: Tensor) -> Work:
    gradient = torch.randn(len(embeddings), len(references))

    def work() -> tuple[Tensor, Tensor]:
        return embeddings @ references.T, gradient @ references

    return work
