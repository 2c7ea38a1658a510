"""Retrieval scores, k-means and NMI against pytorch-metric-learning, scikit-learn and FAISS."""

import time
from collections.abc import Callable

import faiss
import torch
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_mutual_info_score, normalized_mutual_info_score
from torch import Tensor

from benchmarks.measure import Comparison, compare_with_peer, extra_memory
from ranklight.files.markdown import table_lines
from ranklight.metrics import (
    adjusted_mutual_information,
    evaluate_retrieval,
    kmeans,
    normalized_mutual_information,
)
from ranklight.search import Embedded

_ROWS = 1024


def main(slow: bool = False) -> bool:
    """Print the tables; `slow` adds peers that take minutes and gigabytes."""
    faiss.omp_set_num_threads(1)
    met = compare_with_peer(
        "Retrieval scores: Recall@1,2,4,8, R-precision, MAP@R (limit: the N x N product)",
        [
            _retrieval(20_000, 4_000, peer=True, at_least=2.3, at_most_limit=2.0, memory=64),
            _retrieval(60_000, 11_300, peer=slow, at_most_limit=2.0, memory=128),
        ],
    )
    met &= compare_with_peer(
        "Agreement of 60,000 labels in 11,300 classes with as many clusters (peer: scikit-learn)",
        _information(),
    )
    _clustering(5_000, 100, 1.7, slow=True)
    _clustering(20_000, 4_000, 1.3, slow)
    return met


def _retrieval(
    n: int, classes: int, peer: bool, at_most_limit: float, memory: float, at_least=None
) -> Comparison:
    embeddings, labels = _data(n, classes, 1.3)
    calculator = AccuracyCalculator(
        include=("precision_at_1", "r_precision", "mean_average_precision_at_r"),
        k="max_bin_count",
        device=torch.device("cpu"),
    )
    return Comparison(
        item="search and scores; peer: AccuracyCalculator(k='max_bin_count')",
        size=f"{n:,} x 128, {classes:,} classes",
        peer=(lambda: calculator.get_accuracy(embeddings, labels)) if peer else None,
        ours=lambda: evaluate_retrieval(Embedded(embeddings, labels)),
        limit=lambda: product(embeddings, embeddings),
        at_least=at_least,
        at_most_limit=at_most_limit,
        memory=memory,
        repeats=5 if n <= 20_000 else 1,
    )


def _information() -> list[Comparison]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60_000) % 11_300
    found = torch.where(
        torch.rand(60_000, generator=generator) < 0.5,
        labels,
        torch.randint(0, 11_300, (60_000,), generator=generator),
    )
    rows: list[tuple[str, Callable, Callable, float]] = [
        ("NMI", normalized_mutual_info_score, normalized_mutual_information, 2.0),
        ("AMI", adjusted_mutual_info_score, adjusted_mutual_information, 20.0),
    ]
    return [
        Comparison(
            item=name,
            size="60,000",
            peer=lambda peer=peer: peer(labels.numpy(), found.numpy()),
            ours=lambda ours=ours: ours(labels, found),
            at_least=at_least,
            memory=64,
            repeats=1 if name == "AMI" else 5,
        )
        for name, peer, ours, at_least in rows
    ]


def _clustering(n: int, classes: int, noise: float, slow: bool) -> None:
    """A table of time and quality: k-means has no single right answer to be compared at."""
    embeddings, labels = _data(n, classes, noise)
    rows = embeddings.numpy()

    def by_faiss() -> Tensor:
        limits = {"min_points_per_centroid": 1, "max_points_per_centroid": n}
        peer = faiss.Kmeans(rows.shape[1], classes, niter=100, **limits)
        peer.train(rows)
        return torch.from_numpy(peer.assign(rows)[1])

    def by_scikit_learn() -> Tensor:
        peer = KMeans(classes, n_init=1, random_state=0).fit(rows)
        return torch.from_numpy(peer.labels_).long()

    methods = {"FAISS, random start": by_faiss}
    methods |= {"ours, greedy start": lambda: kmeans(embeddings, classes).assignments}
    if slow:
        methods["scikit-learn, n_init=1"] = by_scikit_learn
    print(f"\n## K-means, {n:,} x 128 into {classes:,} clusters\n")
    header = ["method", "time", "NMI", "within sum of squares", "extra memory"]
    rows_of = (_clustered(name, method, embeddings, labels) for name, method in methods.items())
    for line in table_lines(header, rows_of):
        print(line, flush=True)


def _clustered(name: str, method: Callable, embeddings: Tensor, labels: Tensor) -> list[str]:
    start = time.perf_counter()
    found = method()
    seconds = time.perf_counter() - start
    nmi = normalized_mutual_information(labels, found)
    squares = _inertia(embeddings, found, int(labels.max()) + 1)
    memory = f"{extra_memory(method):.0f} MiB" if name.startswith("ours") else "-"
    return [name, f"{seconds:.3g} s", f"{nmi:.4f}", f"{squares:.1f}", memory]


def _inertia(embeddings: Tensor, found: Tensor, classes: int) -> float:
    sums = torch.zeros(classes, embeddings.shape[1]).index_add_(0, found, embeddings)
    means = sums / torch.bincount(found, minlength=classes).clamp(min=1)[:, None]
    return (embeddings - means[found]).square().sum().item()


def _data(n: int, classes: int, noise: float) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % classes
    centers = torch.nn.functional.normalize(torch.randn(classes, 128, generator=generator), dim=1)
    embeddings = centers[labels] + noise * torch.randn(n, 128, generator=generator) / 128**0.5
    return torch.nn.functional.normalize(embeddings, dim=1), labels


def product(rows: Tensor, columns: Tensor) -> None:
    """Every inner product, tile by tile into one buffer."""
    tile = torch.empty(_ROWS, len(columns))
    for part in rows.split(_ROWS):
        torch.mm(part, columns.T, out=tile[: len(part)])


if __name__ == "__main__":
    main()
