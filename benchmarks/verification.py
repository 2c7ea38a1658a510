"""Verification of all pairs of images against scikit-learn and torchmetrics, on the same pairs."""

import torch
from sklearn.metrics import roc_auc_score, roc_curve
from torch import Tensor
from torchmetrics.functional.classification import binary_auroc, binary_eer, binary_roc

from benchmarks.evaluation import _data, product
from benchmarks.measure import Comparison, Work, compare_with_peer
from ranklight.metrics import bootstrap_identities, count_pairs, evaluate_verification
from ranklight.search import Embedded


def main() -> bool:
    return compare_with_peer(
        "Verification of all pairs: AUC, EER, TAR at FAR (limit: the N x N product)",
        [
            _row("peer: scikit-learn", 3_000, _by_scikit_learn, at_least=5.0),
            _row("peer: torchmetrics", 3_000, _by_torchmetrics, at_least=5.0),
            _row("no peer: 3 GB of its indices alone", 20_000, None, repeats=1),
            _bounds(3_000),
        ],
    )


def _row(item: str, n: int, peer, at_least: float | None = None, repeats: int = 3) -> Comparison:
    embeddings, labels = _data(n, n // 5, 1.3)
    work: Work | None = None if peer is None else lambda: peer(embeddings, labels)
    return Comparison(
        item=item,
        size=f"{n:,} x 128, {n * (n - 1) // 2:,} pairs",
        peer=work,
        ours=lambda: evaluate_verification(Embedded(embeddings, labels)),
        limit=lambda: product(embeddings, embeddings),
        at_least=at_least,
        memory=320,
        repeats=repeats,
    )


def _bounds(n: int) -> Comparison:
    embeddings, labels = _data(n, n // 5, 1.3)
    rows = Embedded(embeddings, labels)
    counts = count_pairs(rows)
    return Comparison(
        item="bounds over identities, 1,000 draws",
        size=f"{n:,} x 128, {n // 5:,} classes",
        peer=None,
        ours=lambda: bootstrap_identities(counts, rows),
        limit=lambda: product(embeddings, embeddings),
        memory=320,
        repeats=3,
    )


def _pairs(embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    first, second = torch.triu_indices(len(labels), len(labels), 1)
    similarity = (embeddings @ embeddings.T)[first, second]
    return similarity, labels[first] == labels[second]


def _by_scikit_learn(embeddings: Tensor, labels: Tensor) -> None:
    similarity, same = (part.numpy() for part in _pairs(embeddings, labels))
    roc_auc_score(same, similarity)
    roc_curve(same, similarity)


def _by_torchmetrics(embeddings: Tensor, labels: Tensor) -> None:
    similarity, same = _pairs(embeddings, labels)
    probability, target = (similarity + 1) / 2, same.long()
    binary_auroc(probability, target)
    binary_roc(probability, target)
    binary_eer(probability, target)


if __name__ == "__main__":
    main()
