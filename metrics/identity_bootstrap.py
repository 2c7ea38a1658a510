"""How sure scores of verification are, by drawing identities instead of pairs."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, Int
from torch import Tensor

from ranklight.kernels.checks import check_counts
from ranklight.kernels.chunks import chunks
from ranklight.metrics.answers import Apart
from ranklight.metrics.pair_blocks import PairBlock, visit_pairs
from ranklight.metrics.pair_counts import PairCounts, check_sides
from ranklight.metrics.pair_grid import BINS, PairGrid, grid_of
from ranklight.metrics.verification import (
    FARS,
    VerificationCurve,
    check_fars,
    far_name,
    verification_curve,
)
from ranklight.search.embedded import Embedded

_OF_EITHER_RATE = 24
_DRAWS = 64


class _Tables(NamedTuple):
    """Pairs by class and by interval between thresholds; a pair of two classes stands at both."""

    same: Int[Tensor, "c t"]
    different: Int[Tensor, "c t"]


def bootstrap_identities(
    counts: PairCounts,
    queries: Embedded,
    gallery: Embedded | None = None,
    fars: Sequence[float] = FARS,
    apart: Apart = "image",
    draws: int = 1000,
    seed: int = 0,
    advance: Callable[[int], object] | None = None,
) -> dict[str, float]:
    """95 % bounds of the scores of all pairs, if other identities had been drawn; collective.

    As many classes as there are are drawn with replacement, class c m_c times. A pair of one class
    counts m_c times, one of classes c and c' m_c + m_c' − 1 times: m_c·m_c' to first order around
    1, so that counts of each class are enough, and none of two classes are kept. What is left out
    is of order 1/C² in the variance of C classes: do not trust the bounds of a dozen. The subsets
    bootstrap of Bolle, Ratha, Pankanti (Error analysis of pattern recognition systems, CVIU 2004)
    gives a pair to one of its classes instead, which makes bounds too narrow.

    Every draw has a curve of about 48 thresholds, spread over FAR and over TAR, with straight lines
    between them; its scores are moved by what so few thresholds change in the scores of all pairs.

    One more pass over all pairs. Memory beside that of `count_pairs`: 800 bytes a class.

        >>> from ranklight.metrics import count_pairs
        >>> rows = Embedded(torch.arange(12.0)[:, None] ** 1.5, torch.arange(12) // 2)
        >>> bounds = bootstrap_identities(count_pairs(rows), rows, fars=(0.1,))
        >>> sorted(bounds)[:3]
        ['auc/identity_high', 'auc/identity_low', 'eer/identity_high']

    Args:
        counts: Of `count_pairs` of the same sides.
        queries: One side of each pair, labelled by integer classes.
        gallery: The other; if None, every two of the queries are a pair.
        fars: The false accept rates at which the true accept rate is bounded.
        apart: What is no pair, see `count_pairs`.
        draws: How often classes are drawn; more are steadier.
        seed: Of the draws.
        advance: Called with the number of queries each time that some are done.

    Returns:
        `auc`, `eer` and `tar@<FAR>`, each with `/identity_low` and `/identity_high`.

    Raises:
        ValueError: As `count_pairs` and `score_verification`; or counts are of other pairs.
    """
    check_counts(draws=draws)
    check_fars(fars)
    if gallery is queries:
        gallery = None
    check_sides(queries, gallery, apart)
    curve = verification_curve(counts)
    grid = grid_of(*((queries,) if gallery is None else (queries, gallery)))
    few = _few_thresholds(curve)
    tables = _count_by_class(queries, gallery, apart, grid, curve.squared_distance[few], advance)
    if int(tables.same.sum()) != int(counts.same.sum()):
        raise ValueError("counts must be those of the same images; they are of other pairs")
    resolved = [far for far in fars if far >= 1 / int(counts.different.sum())]
    drawn = _scores(*_draw(tables, draws, seed), resolved)
    ours, full = (
        _scores(far[None], tar[None], resolved)
        for far, tar in ((curve.far[few], curve.tar[few]), (curve.far, curve.tar))
    )
    bounds: dict[str, float] = {}
    for name, values in drawn.items():
        moved = (values + full[name] - ours[name]).clip(0, 1)
        low, high = np.quantile(moved, (0.025, 0.975)).tolist()
        bounds |= {f"{name}/identity_low": low, f"{name}/identity_high": high}
    return bounds


def _few_thresholds(curve: VerificationCurve) -> Int[Tensor, "t"]:
    """Places on the curve, from none accepted to all, at rates spread over FAR and TAR."""
    device = curve.far.device
    fars = torch.logspace(-7, 0, _OF_EITHER_RATE, dtype=torch.float64)
    tars = torch.linspace(0, 1, _OF_EITHER_RATE, dtype=torch.float64)
    places = [
        torch.searchsorted(rate.contiguous(), wanted.to(device), right=True) - 1
        for rate, wanted in ((curve.far, fars), (curve.tar, tars))
    ]
    ends = torch.tensor([0, len(curve.far) - 1], device=device)
    few: Tensor = torch.unique(torch.cat([ends, *places]))
    return few


def _count_by_class(
    queries: Embedded,
    gallery: Embedded | None,
    apart: Apart,
    grid: PairGrid,
    thresholds: Float64[Tensor, "t"],
    advance: Callable[[int], object] | None,
) -> _Tables:
    sides = [queries] if gallery is None else [queries, gallery]
    classes = torch.unique(
        torch.cat([side.shards.all_gather(side.labels.long()) for side in sides])
    )
    device, t = classes.device, len(thresholds) - 1
    # a bin is in the interval that ends at the first threshold that is no less
    ends = (thresholds[1:] / grid.width).round().long()
    interval = torch.bucketize(torch.arange(BINS, device=device), ends).clamp_(max=t - 1).byte()
    tables = _Tables(*torch.zeros(2, len(classes) * t, dtype=torch.int64, device=device))

    def add(block: PairBlock) -> None:
        place = interval.index_select(0, block.bins.flatten()).view(block.bins.shape)
        rows = torch.searchsorted(classes, block.row_labels.contiguous())[:, None] * t + place
        columns = torch.searchsorted(classes, block.column_labels.contiguous()) * t + place
        different = ~block.same if block.counted is None else ~block.same & block.counted
        same = block.same if block.counted is None else block.same & block.counted
        for table, cells in (
            (tables.same, rows[same]),
            (tables.different, rows[different]),
            (tables.different, columns[different]),
        ):
            table.index_add_(0, cells, table.new_ones(()).expand(len(cells)))

    visit_pairs(queries, gallery, apart, grid, add, advance)
    return _Tables(*(queries.shards.all_reduce(table).view(-1, t) for table in tables))


def _draw(
    tables: _Tables, draws: int, seed: int
) -> tuple[Float64[Tensor, "draws t"], Float64[Tensor, "draws t"]]:
    """FAR and TAR at every threshold of every draw, on the CPU."""
    same, different = (table.cpu().cumsum(1).double() for table in tables)
    total = different.sum(0) / 2
    c, random = len(same), np.random.default_rng(seed)
    fars, tars = [], []
    for part in chunks(draws, _DRAWS):
        numbers = [
            np.bincount(random.integers(0, c, c), minlength=c) for _ in range(part.start, part.stop)
        ]
        times = torch.from_numpy(np.stack(numbers)).double()
        fars.append(_rates((times @ different - total).clamp(min=0)))
        tars.append(_rates(times @ same))
    return torch.cat(fars), torch.cat(tars)


def _rates(accepted: Float64[Tensor, "draws t"]) -> Float64[Tensor, "draws u"]:
    """Shares of all, and before them that of a threshold which accepts none."""
    rates = accepted / accepted[:, -1:]
    return torch.cat([rates.new_zeros(len(rates), 1), rates.cummax(1).values], 1)


def _scores(
    far: Float64[Tensor, "draws t"], tar: Float64[Tensor, "draws t"], fars: Sequence[float]
) -> dict[str, np.ndarray]:
    """Scores of curves, interpolated; those without a pair of one kind are left out."""
    there = (far.isfinite() & tar.isfinite()).all(1)
    far, tar = far[there].cpu(), tar[there].cpu()
    curves = list(zip(far.numpy(), tar.numpy(), strict=True))
    scores = {
        "auc": torch.trapezoid(tar, far).numpy(),
        "eer": np.array([_eer(*of) for of in curves]),
    }
    for wanted in fars:
        at_far = [np.interp(wanted, of_far, of_tar) for of_far, of_tar in curves]
        scores[f"tar@{far_name(wanted)}"] = np.array(at_far)
    return scores


def _eer(far: np.ndarray, tar: np.ndarray) -> float:
    """Where FAR = 1 − TAR, of which the difference ascends."""
    return float(np.interp(0.0, far + tar - 1, far))
