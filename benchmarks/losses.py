"""Losses of anchors against references: forward and backward from embeddings, beside their peers.

Each of ours is the whole call, `Objective(...)(embeddings, labels).backward()`: similarity,
relevance, mask, mining and loss. "limit" is two products that nobody can avoid: X Xᵀ and G X.

Peers are pytorch-metric-learning's and compute the same, but for semi-hard: there the peer keeps
every negative between D_ai and D_ai + m, we the closest one beyond D_ai, so it has more triplets;
both must look at all pairs to find theirs; and for the margin loss, where the peer counts a pair
once for each triplet that it is in. InfoNCE's peer has a table of positive pairs × negative pairs,
which for 1,024 images is 12 GB. For the log-ratio the peer is our own writing of what
the paper's released code does, one anchor at a time on m × m tables, for every anchor of the batch;
where its own bound is against the two products, the peer, some hundred times slower, is left out.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from pytorch_metric_learning import distances, reducers
from pytorch_metric_learning import losses as peer_losses
from pytorch_metric_learning import miners as peer_miners
from torch import Tensor, nn

from benchmarks.measure import Comparison, Work, compare_with_peer
from ranklight.losses import (
    CircleLoss,
    ContrastiveLoss,
    FastAPLoss,
    InfoNCELoss,
    LiftedStructureLoss,
    LogRatioLoss,
    MarginLoss,
    MultiSimilarityLoss,
    NCALoss,
    ThresholdConsistentMarginLoss,
    TripletLoss,
)
from ranklight.miners import MultiSimilarityMiner, SemiHard
from ranklight.pairs import LabelCloseness, Objective

_SQUARED = distances.LpDistance(power=2)
_TRIPLET = peer_losses.TripletMarginLoss(0.2, distance=_SQUARED)
_SEMI_HARD = peer_miners.TripletMarginMiner(0.2, "semihard", distance=_SQUARED)
_MULTI_SIMILARITY = peer_losses.MultiSimilarityLoss(2, 40, 0.5)
_MINER = peer_miners.MultiSimilarityMiner()
_CONTRASTIVE = peer_losses.ContrastiveLoss(
    1, 0.5, distance=distances.CosineSimilarity(), reducer=reducers.MeanReducer()
)
_INFO_NCE = peer_losses.NTXentLoss(0.1)
_LIFTED = peer_losses.GeneralizedLiftedStructureLoss()
_MARGIN = peer_losses.MarginLoss(learn_beta=True)
_THRESHOLD = peer_losses.ThresholdConsistentMarginLoss()
_OURS_THRESHOLD = Objective(ThresholdConsistentMarginLoss())


def main() -> bool:
    return compare_with_peer("Losses, forward + backward, D = 128, one thread", on("cpu"))


def on(device: str) -> list[Comparison]:
    """The rows, on a device; their bounds are those of the CPU."""
    with torch.device(device):
        return [
            _row("all triplets", 1024, 4, _TRIPLET, TripletLoss(), 40, 64, 3),
            _row("all triplets", 1024, 32, _TRIPLET, TripletLoss(), 40, 64, 3),
            _row("all triplets", 64, 4, _TRIPLET, TripletLoss(), 1, None, 11),
            _row("semi-hard, all / closest", 1024, 4, _semi_hard, _OURS_SEMI_HARD, 30, 64, 3),
            _row("semi-hard, all / closest", 64, 4, _semi_hard, _OURS_SEMI_HARD, 1, None, 11),
            _row("multi-similarity, mined", 1024, 4, _mined, _OURS_MINED, 6, 32, 11),
            _row("multi-similarity, mined", 64, 4, _mined, _OURS_MINED, 1, None, 11),
            _row("contrastive", 2048, 4, _CONTRASTIVE, ContrastiveLoss(), 1, 128, 7),
            _row("contrastive", 64, 4, _CONTRASTIVE, ContrastiveLoss(), 1, None, 11),
            _row("InfoNCE", 256, 4, _INFO_NCE, InfoNCELoss(), 1, 64, 3),
            _row("InfoNCE", 64, 4, _INFO_NCE, InfoNCELoss(), 1, None, 11),
            _row("circle", 1024, 4, peer_losses.CircleLoss(), CircleLoss(), 1, 64, 3),
            _row("circle", 64, 4, peer_losses.CircleLoss(), CircleLoss(), 1, None, 11),
            _row("lifted structure", 1024, 4, _LIFTED, LiftedStructureLoss(), 1, 64, 3),
            _row("lifted structure", 64, 4, _LIFTED, LiftedStructureLoss(), 1, None, 11),
            _row("margin, all pairs", 1024, 4, _MARGIN, MarginLoss(), 1, 64, 3),
            _row("margin, all pairs", 64, 4, _MARGIN, MarginLoss(), 1, None, 11),
            _row("FastAP", 1024, 4, peer_losses.FastAPLoss(), FastAPLoss(), 1, 64, 3),
            _row("FastAP", 64, 4, peer_losses.FastAPLoss(), FastAPLoss(), 1, None, 11),
            _row("NCA", 1024, 4, peer_losses.NCALoss(), NCALoss(), 1, 64, 3),
            _row("NCA", 64, 4, peer_losses.NCALoss(), NCALoss(), 0.9, None, 11),
            _row("threshold-consistent margin", 1024, 4, _THRESHOLD, _OURS_THRESHOLD, 1, 64, 3),
            _row("threshold-consistent margin", 64, 4, _THRESHOLD, _OURS_THRESHOLD, 1, None, 11),
            _log_ratio_row(512, True, 32, 11, at_most_limit=5),
            _log_ratio_row(512, False, 64, 3, at_least=100),
            _log_ratio_row(64, True, None, 11, at_least=1),
            _log_ratio_row(64, False, None, 11, at_least=1),
        ]


def _semi_hard(embeddings: Tensor, labels: Tensor) -> Tensor:
    return _TRIPLET(embeddings, labels, _SEMI_HARD(embeddings, labels))


def _mined(embeddings: Tensor, labels: Tensor) -> Tensor:
    return _MULTI_SIMILARITY(embeddings, labels, _MINER(embeddings, labels))


_OURS_SEMI_HARD = Objective(TripletLoss(average="pairs"), SemiHard())
_OURS_MINED = Objective(MultiSimilarityLoss(), MultiSimilarityMiner())


def _row(
    item: str,
    batch: int,
    per_class: int,
    peer: Callable[[Tensor, Tensor], Tensor],
    ours: nn.Module,
    at_least: float,
    memory: float | None,
    repeats: int,
) -> Comparison:
    torch.manual_seed(0)
    labels = torch.arange(batch) // per_class
    centers = torch.randn(batch // per_class, 128)[labels]
    embeddings = F.normalize(centers + 2 * torch.randn(batch, 128))
    ours = ours if isinstance(ours, Objective) else Objective(ours)
    return Comparison(
        item=item,
        size=f"B {batch}, {per_class} per class",
        peer=_forward_backward(peer, embeddings, labels),
        ours=_forward_backward(ours, embeddings, labels),
        limit=_two_products(embeddings),
        at_least=at_least,
        memory=memory,
        repeats=repeats,
    )


def _log_ratio_row(
    batch: int,
    keep_ties: bool,
    memory: float | None,
    repeats: int,
    at_least: float | None = None,
    at_most_limit: float | None = None,
) -> Comparison:
    torch.manual_seed(0)
    embeddings, labels = torch.randn(batch, 128), torch.randint(100, (batch, 1)) / 10
    ours = Objective(LogRatioLoss(keep_ties), relevance=LabelCloseness())
    return Comparison(
        item=f"log-ratio, ties {'kept' if keep_ties else 'dropped'}",
        size=f"B {batch}",
        peer=_anchor_by_anchor(embeddings, labels, keep_ties) if at_least else None,
        ours=_forward_backward(ours, embeddings, labels),
        limit=_two_products(embeddings),
        at_least=at_least,
        at_most_limit=at_most_limit,
        memory=memory,
        repeats=repeats,
    )


def _anchor_by_anchor(embeddings: Tensor, labels: Tensor, keep_ties: bool) -> Work:
    """The log-ratio loss with a graph, and tables of all i, j, for each anchor in turn.

    The distances of an anchor to all others are computed, and their logarithms laid out as tables
    of rows and of columns whose differences are the log ratios, as in the released code.
    """

    def work() -> Tensor:
        leaf, count = embeddings.clone().requires_grad_(), 0
        for a in range(len(leaf)):
            others = torch.arange(len(leaf), device=leaf.device) != a
            distance = ((leaf[a] - leaf[others]).square().sum(1) + 1e-6).sqrt()
            label_distance = (labels[a] - labels[others]).norm(dim=1) + 1e-6
            learnt, labelled = _differences(distance.log()), _differences(label_distance.log())
            weight = torch.ones_like(labelled).triu(1)
            if not keep_ties:
                weight = weight * (label_distance.unsqueeze(1) != label_distance)
            (learnt - labelled).pow(2).mul(weight).sum().backward()
            count += int(weight.sum())
        return leaf.grad / count

    return work


def _differences(values: Tensor) -> Tensor:
    m = len(values)
    return values.repeat(m, 1).t() - values.repeat(m, 1)


def _forward_backward(
    loss: Callable[[Tensor, Tensor], Tensor], embeddings: Tensor, labels: Tensor
) -> Work:
    def work() -> None:
        loss(embeddings.clone().requires_grad_(), labels).backward()

    return work


def _two_products(embeddings: Tensor) -> Work:
    similarity = torch.randn(len(embeddings), len(embeddings))

    def work() -> tuple[Tensor, Tensor]:
        return embeddings @ embeddings.T, similarity @ embeddings

    return work
