"""Losses of class centers: forward and backward from embeddings, beside pytorch-metric-learning's.

Both compute the same, have their own centers and give the gradients of embeddings and centers.
"limit" is the three products that nobody can avoid, Z Cᵀ, G C and Gᵀ Z.

Over 10^6 classes S alone is 244 MiB. In blocks it exists for 16,384 classes at a time; drawn, a
step has 100,000 of the classes. Extra memory counts what both need, the gradient of the centers, as
large as they are (488 MiB), and what normalising them takes.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from pytorch_metric_learning import losses as peer_losses
from torch import Tensor, nn

from benchmarks.measure import Comparison, Work, compare_with_peer
from ranklight.losses import (
    ArcFaceLoss,
    CosFaceLoss,
    NormalizedSoftmaxLoss,
    ProxyAnchorLoss,
    ProxyNCALoss,
    SoftTripleLoss,
    SubCenterArcFaceLoss,
)
from ranklight.pairs import ClassCenters, Objective

_DIM, _CLASSES, _MANY = 128, 1000, 1_000_000
_PAIRS: dict[str, tuple[Callable[..., nn.Module], Callable[[], nn.Module], int]] = {
    "normalised softmax": (peer_losses.NormalizedSoftmaxLoss, NormalizedSoftmaxLoss, 1),
    "CosFace": (peer_losses.CosFaceLoss, CosFaceLoss, 1),
    "ArcFace": (peer_losses.ArcFaceLoss, ArcFaceLoss, 1),
    "sub-center ArcFace": (peer_losses.SubCenterArcFaceLoss, SubCenterArcFaceLoss, 3),
    "SoftTriple": (peer_losses.SoftTripleLoss, SoftTripleLoss, 10),
    "Proxy-NCA++": (peer_losses.ProxyNCALoss, ProxyNCALoss, 1),
    "Proxy-Anchor": (peer_losses.ProxyAnchorLoss, ProxyAnchorLoss, 1),
}


def main() -> bool:
    rows = [_row(name, batch) for name in _PAIRS for batch in (64, 1024)]
    few = compare_with_peer(f"Losses of {_CLASSES:,} class centers, D = {_DIM}, one thread", rows)
    title = f"ArcFace over {_MANY:,} classes, D = {_DIM}, B 64, one thread"
    return compare_with_peer(title, _many_classes()) and few


def _row(name: str, batch: int) -> Comparison:
    build_peer, build_ours, several = _PAIRS[name]
    embeddings, labels = _images(batch, _CLASSES)
    peer = build_peer(num_classes=_CLASSES, embedding_size=_DIM)
    ours = Objective(
        build_ours(), references=ClassCenters(_CLASSES, _DIM, centers_per_class=several)
    )
    return Comparison(
        item=name,
        size=f"B {batch}",
        peer=_step(peer, embeddings, labels),
        ours=_step(ours, embeddings, labels),
        limit=_three_products(embeddings, _CLASSES * several),
        at_least=1 if batch == 64 else None,
        repeats=11 if batch == 64 else 5,
    )


def _many_classes() -> list[Comparison]:
    embeddings, labels = _images(64, _MANY)
    whole = Objective(ArcFaceLoss(), references=ClassCenters(_MANY, _DIM))
    blocks = Objective(
        ArcFaceLoss(), references=ClassCenters(_MANY, _DIM), references_per_block=1 << 14
    )
    drawn = Objective(
        ArcFaceLoss(), references=ClassCenters(_MANY, _DIM, sampled_classes=_MANY // 10)
    )
    peer = peer_losses.ArcFaceLoss(_MANY, _DIM, margin=math.degrees(0.5))
    return [
        Comparison(
            item=item,
            size=size,
            peer=_step(peer, embeddings, labels),
            ours=_step(ours, embeddings, labels),
            limit=_three_products(embeddings, _MANY),
            memory=memory,
            repeats=3,
        )
        for item, size, ours, memory in [
            ("whole", "S whole", whole, 3100),
            ("in blocks", "16,384 a block", blocks, 1800),
            ("drawn", "100,000 a step", drawn, 800),
        ]
    ]


def _images(count: int, classes: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return F.normalize(torch.randn(count, _DIM)), torch.randint(classes, (count,))


def _step(loss: nn.Module, embeddings: Tensor, labels: Tensor) -> Work:
    def work() -> None:
        loss.zero_grad()
        loss(embeddings.clone().requires_grad_(), labels).backward()

    return work


def _three_products(embeddings: Tensor, columns: int) -> Work:
    centers, gradient = torch.randn(columns, _DIM), torch.randn(len(embeddings), columns)

    def work() -> tuple[Tensor, Tensor, Tensor]:
        return embeddings @ centers.T, gradient @ centers, gradient.T @ embeddings

    return work


if __name__ == "__main__":
    main()
