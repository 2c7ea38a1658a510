"""How well two partitions agree: mutual information, plain and adjusted for chance."""

import torch
from jaxtyping import Int
from torch import Tensor

from ranklight.kernels.checks import check_integers, check_values_are_there
from ranklight.kernels.chunks import chunks

_ELEMENTS = 1 << 17


def normalized_mutual_information(labels: Int[Tensor, "n"], assignments: Int[Tensor, "n"]) -> float:
    """Mutual information of two partitions over the arithmetic mean of their entropies.

        NMI = 2 I(A, B) / (H(A) + H(B)),    I = Σ_cells p log(p / (p_a p_b))

    over occupied cells only, at most n of them, so memory is O(n) for any number of classes. The
    same as scikit-learn's normalized_mutual_info_score; some papers divide by √(H(A) H(B)).

        >>> labels, assignments = torch.tensor([0, 0, 1, 1]), torch.tensor([3, 3, 4, 5])
        >>> round(normalized_mutual_information(labels, assignments), 4)
        0.8

    Args:
        labels: One partition, any integers.
        assignments: The other.

    Returns:
        0..1; 1 where both hold a single part.

    Raises:
        TypeError: A partition is no tensor of integers.
        ValueError: They are not of the same items, or of none.
    """
    cells, a, b = _contingency(labels, assignments)
    mutual, mean_entropy = _information(cells, a, b)
    return mutual / mean_entropy if mean_entropy > 0 else 1.0


def adjusted_mutual_information(labels: Int[Tensor, "n"], assignments: Int[Tensor, "n"]) -> float:
    """Mutual information above what random partitions of the same sizes share.

        AMI = (I − E[I]) / (½ (H(A) + H(B)) − E[I])

    Vinh, Epps, Bailey: Information Theoretic Measures for Clusterings Comparison, JMLR 2010; the
    same as scikit-learn's adjusted_mutual_info_score. E[I] depends on sizes alone, so its double
    sum runs over distinct sizes, where scikit-learn's runs over all pairs of parts.

        >>> labels, assignments = torch.tensor([0, 0, 1, 1]), torch.tensor([3, 3, 4, 5])
        >>> round(adjusted_mutual_information(labels, assignments), 4)
        0.5714

    Args:
        labels: One partition, any integers.
        assignments: The other.

    Returns:
        1 for equal partitions, about 0 for unrelated ones, possibly below.

    Raises:
        TypeError: A partition is no tensor of integers.
        ValueError: They are not of the same items, or of none.
    """
    cells, a, b = _contingency(labels, assignments)
    mutual, mean_entropy = _information(cells, a, b)
    if len(a) == len(b) == 1 or len(a) == len(b) == len(labels):
        return 1.0
    expected = _expected_information(a, b)
    spare = mean_entropy - expected
    tiny = torch.finfo(torch.float64).eps
    return (mutual - expected) / (min(spare, -tiny) if spare < 0 else max(spare, tiny))


def _contingency(
    labels: Tensor, assignments: Tensor
) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor, Tensor]:
    """Occupied cells as (count, size of its row, size of its column), and all sizes."""
    check_values_are_there(labels=labels)
    check_values_are_there(assignments=assignments)
    check_integers(labels=labels)
    check_integers(assignments=assignments)
    if len(labels) != len(assignments):
        raise ValueError(f"{len(labels)} labels cannot be compared to {len(assignments)} clusters")
    if len(labels) == 0:
        raise ValueError("two partitions of the same items are needed: none were given")
    _, row, row_sizes = torch.unique(labels.long(), return_inverse=True, return_counts=True)
    assignments = assignments.long().to(labels.device)
    _, column, column_sizes = torch.unique(assignments, return_inverse=True, return_counts=True)
    cells, counts = torch.unique(row * len(column_sizes) + column, return_counts=True)
    cell_rows = row_sizes[cells // len(column_sizes)]
    return (counts, cell_rows, column_sizes[cells % len(column_sizes)]), row_sizes, column_sizes


def _information(cells: tuple[Tensor, Tensor, Tensor], a: Tensor, b: Tensor) -> tuple[float, float]:
    """I(A, B) and the mean of the entropies."""
    count, row, column = (part.double() for part in cells)
    n = count.sum()
    mutual = (count / n * ((n * count).log() - row.log() - column.log())).sum().clamp(min=0)
    mean_entropy = (
        sum(-(size / n * (size / n).log()).sum() for size in (a.double(), b.double())) / 2
    )
    return float(mutual), float(mean_entropy)


def _expected_information(a: Tensor, b: Tensor) -> float:
    """E[I] of partitions with these sizes drawn at random."""
    n = int(a.sum())
    a, a_times = torch.unique(a.cpu(), return_counts=True)
    b, b_times = torch.unique(b.cpu(), return_counts=True)
    expected = 0.0
    for size, times in zip(a.tolist(), a_times.tolist(), strict=True):
        shared = torch.arange(1, min(size, int(b.max())) + 1, dtype=torch.float64)
        for part in chunks(len(b), max(1, _ELEMENTS // len(shared))):
            terms = _expected_terms(n, size, b[part, None].double(), shared)
            expected += times * float((terms.sum(1) * b_times[part]).sum())
    return expected


def _expected_terms(n: int, a: int, b: Tensor, shared: Tensor) -> Tensor:
    """Terms n_ab/n log(n n_ab/(a b)) times the hypergeometric probability of n_ab."""

    def log_factorial(x: Tensor) -> Tensor:
        return torch.lgamma(x + 1)

    def log_choose(x: Tensor, y: Tensor) -> Tensor:
        return log_factorial(x) - log_factorial(y) - log_factorial(x - y)

    possible = (shared <= b) & (shared >= a + b - n)
    kept = torch.where(possible, shared, torch.clamp(b, max=a).clamp(min=1))
    total, size = torch.tensor(float(n)), torch.tensor(float(a))
    log_probability = (
        log_choose(b, kept) + log_choose(total.double() - b, size.double() - kept)
    ) - log_choose(total.double(), size.double())
    terms = kept / n * (n * kept / (a * b)).log() * log_probability.exp()
    return terms.masked_fill(~possible, 0)
