"""Multi-label losses beside the tables of pairs and the peers' losses: forward and backward."""

import torch
import torch.nn.functional as F
from timm.loss import AsymmetricLossMultiLabel, ZlprLoss
from torch import Tensor

from benchmarks.measure import Comparison, Work, compare_with_peer
from ranklight.losses import AsymmetricLoss, HingeRankingLoss, LSEPLoss, WARPLoss, ZLPRLoss

ROWS = 64
SHARE_OF_POSITIVES = 0.03
BYTES = 4


def main() -> bool:
    rows = [
        _lsep(1_000, at_least=1_000),
        _lsep(10_000),
        _lsep(100_000),
        _hinge(100),
        _hinge(1_000, at_least=3),
        _hinge(10_000, at_least=20, memory=64),
        _warp(1_000),
        *_from_timm(1_000),
    ]
    return compare_with_peer(f"Multi-label ranking, {ROWS} images, forward + backward", rows)


def lsep_table(similarity: Tensor, relevance: Tensor) -> Tensor:
    """The written-out sum, in the shifted form that does not overflow."""
    gaps = similarity.unsqueeze(2) - similarity.unsqueeze(1)
    pair = (relevance.unsqueeze(2) == 0) & (relevance.unsqueeze(1) > 0)
    gaps = torch.where(pair, gaps, -torch.inf).flatten(1)
    return torch.logsumexp(F.pad(gaps, (0, 1)), 1).mean()


def warp_table(similarity: Tensor, relevance: Tensor) -> Tensor:
    """The written-out sum with exact ranks."""
    above = (similarity.unsqueeze(1) > similarity.unsqueeze(2)).sum(2)
    harmonic = (1 / torch.arange(1, similarity.shape[1] + 1)).cumsum(0)
    gaps = 1 + similarity.unsqueeze(2) - similarity.unsqueeze(1)
    pair = (relevance.unsqueeze(2) == 0) & (relevance.unsqueeze(1) > 0)
    return (torch.where(pair, gaps.relu(), 0).sum(1) * harmonic[above]).sum(1).mean()


def _lsep(labels: int, at_least: float | None = None) -> Comparison:
    similarity, relevance, known = _batch(labels)
    return Comparison(
        item="LSEP; its table of pairs",
        size=f"{ROWS} x {labels:,}",
        peer=_step(similarity, lambda: lsep_table(similarity, relevance)) if at_least else None,
        ours=_step(similarity, lambda: LSEPLoss()(similarity, relevance, known)),
        limit=_passes(labels),
        at_least=at_least,
        memory=8 * ROWS * labels * BYTES / 2**20,
        repeats=3 if at_least else 7,
    )


def _hinge(labels: int, at_least: float | None = None, memory: float | None = None) -> Comparison:
    similarity, relevance, known = _batch(labels)
    target = _padded(relevance)
    return Comparison(
        item="hinge ranking; torch.nn.MultiLabelMarginLoss",
        size=f"{ROWS} x {labels:,}",
        peer=_step(similarity, lambda: F.multilabel_margin_loss(similarity, target)),
        ours=_step(similarity, lambda: HingeRankingLoss()(similarity, relevance, known)),
        limit=_passes(labels),
        at_least=at_least,
        memory=memory,
        repeats=3 if labels >= 10_000 else 11,
    )


def _warp(labels: int) -> Comparison:
    similarity, relevance, known = _batch(labels)
    return Comparison(
        item="WARP, exact ranks; its table of pairs",
        size=f"{ROWS} x {labels:,}",
        peer=_step(similarity, lambda: warp_table(similarity, relevance)),
        ours=_step(similarity, lambda: WARPLoss()(similarity, relevance, known)),
        limit=_passes(labels),
        at_least=100,
        repeats=3,
    )


def _from_timm(labels: int) -> list[Comparison]:
    similarity, relevance, known = _batch(labels)
    pairs = [
        ("asymmetric; timm", AsymmetricLossMultiLabel(), AsymmetricLoss()),
        ("ZLPR; timm", ZlprLoss(), ZLPRLoss()),
    ]
    return [
        Comparison(
            item=item,
            size=f"{ROWS} x {labels:,}",
            peer=_step(similarity, lambda peer=peer: peer(similarity, relevance)),
            ours=_step(similarity, lambda ours=ours: ours(similarity, relevance, known)),
            limit=_passes(labels),
            repeats=11,
        )
        for item, peer, ours in pairs
    ]


def _batch(labels: int) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    similarity = torch.randn(ROWS, labels, requires_grad=True)
    relevance = (torch.rand(ROWS, labels) < max(SHARE_OF_POSITIVES, 5 / labels)).float()
    return similarity, relevance, torch.ones(ROWS, labels, dtype=torch.bool)


def _padded(relevance: Tensor) -> Tensor:
    target = torch.full(relevance.shape, -1)
    for row, relevances in zip(target, relevance, strict=True):
        columns = relevances.nonzero().squeeze(1)
        row[: len(columns)] = columns
    return target


def _step(similarity: Tensor, loss) -> Work:
    def work() -> None:
        similarity.grad = None
        loss().backward()

    return work


def _passes(labels: int) -> Work:
    """One pass of exp and one product over the scores."""
    scores = torch.randn(ROWS, labels)
    return lambda: scores.exp().mul_(scores)


if __name__ == "__main__":
    main()
