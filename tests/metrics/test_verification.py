"""Pairs against plain loops, scikit-learn and torchmetrics, on one rank and on several."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score, roc_curve
from torch.nn.functional import normalize
from torchmetrics.functional.classification import binary_eer, binary_roc

from ranklight.kernels.distributed import rank_and_world_size
from ranklight.metrics import (
    PairCounts,
    bootstrap_identities,
    count_pairs,
    evaluate_verification,
    fit_threshold,
    fold_accuracy,
    judge_pairs,
    pair_blocks,
    pair_counts,
    pair_distances,
    score_verification,
    tally_distances,
    verification_curve,
    wilson_interval,
)
from ranklight.metrics.pair_grid import grid_of
from ranklight.search import Embedded, Shards


def images(n=90, classes=12, seed=0, scale=1.0, offset=0.0, noise=1.0):
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (n,), generator=draw)
    centers = torch.randn(classes, 8, generator=draw)
    rows = normalize(centers[labels] + noise * torch.randn(n, 8, generator=draw))
    groups = torch.randint(-1, 3, (n,), generator=draw)
    return offset + scale * rows, labels, groups


def embedded(rows, labels, groups=None, ids=None):
    return Embedded(rows, labels, ids, groups=groups)


def by_loops(left, right, apart="image", among=False):
    """Distances of pairs of the same class and of different ones, as Python's floats give them."""
    found = ([], [])
    for i, (z, y, g) in enumerate(zip(*(part.tolist() for part in left), strict=True)):
        for j, (w, x, h) in enumerate(zip(*(part.tolist() for part in right), strict=True)):
            one_group = g == h and g >= 0
            if (
                (among and j <= i)
                or (apart == "group" and one_group)
                or (apart == "class_and_group" and one_group and y == x)
            ):
                continue
            found[y != x].append(math.fsum((a - b) ** 2 for a, b in zip(z, w, strict=True)))
    return found


def listed(counts, kind):
    return counts.squared_distance.repeat_interleave(getattr(counts, kind)).tolist()


@pytest.mark.parametrize("apart", ["image", "group", "class_and_group"])
@pytest.mark.parametrize("with_gallery", [False, True])
@pytest.mark.parametrize("block", [(1, 3), (32, 16), (1024, 2048)])
def test_pairs_are_those_of_a_loop(monkeypatch, apart, with_gallery, block):
    monkeypatch.setattr(pair_blocks, "_ROWS", block[0])
    monkeypatch.setattr(pair_blocks, "_COLUMNS", block[1])
    left, right = images(40), images(30, seed=1)
    gallery = embedded(*right) if with_gallery else None
    counts = count_pairs(embedded(*left), gallery, apart)
    expected = by_loops(left, right if with_gallery else left, apart, not with_gallery)
    width = grid_of(embedded(*left)).width
    for kind, distances in zip(("same", "different"), expected, strict=True):
        assert listed(counts, kind) == pytest.approx(sorted(distances), abs=0.51 * width + 1e-7)


@pytest.mark.parametrize(("scale", "offset"), [(1.0, 0.0), (1e-3, 0.0), (3.0, 1000.0), (1e6, 0.0)])
def test_bins_are_as_narrow_as_promised(scale, offset):
    rows, labels, groups = images(40, scale=scale, offset=offset)
    counts = count_pairs(embedded(rows, labels))
    found = by_loops((rows, labels, groups), (rows, labels, groups), among=True)
    largest = max(found[1])
    width = grid_of(embedded(rows, labels)).width
    assert math.log2(width).is_integer()
    assert width <= 16 * largest / 2**22
    for kind, distances in zip(("same", "different"), found, strict=True):
        assert listed(counts, kind) == pytest.approx(sorted(distances), abs=1.1 * width)


def test_an_image_on_both_sides_is_no_pair_with_itself():
    rows, labels, _ = images(20)
    ids = torch.arange(20) * 3
    queries, gallery = embedded(rows[:8], labels[:8], ids=ids[:8]), embedded(rows, labels, ids=ids)
    counts = count_pairs(queries, gallery)
    assert (counts.same + counts.different).sum() == 8 * 19
    assert counts.squared_distance.min() > 0
    unknown = count_pairs(embedded(rows[:8], labels[:8]), embedded(rows, labels))
    assert (unknown.same + unknown.different).sum() == 8 * 20


def test_counts_outlive_32_bits(monkeypatch):
    monkeypatch.setattr(pair_counts, "_INT32", 100)
    monkeypatch.setattr(pair_blocks, "_ROWS", 8)
    rows, labels, _ = images(40)
    found = count_pairs(embedded(rows, labels))
    monkeypatch.undo()
    assert all(map(torch.equal, found, count_pairs(embedded(rows, labels))))


def on_ranks(shares):
    """Everything, of rows that the ranks share unevenly."""
    rank, _ = rank_and_world_size()
    left, right = images(61), images(30, seed=1)
    results = []
    for positions in shares:
        shards = Shards([torch.tensor(part).long() for part in positions], rank)
        other = Shards([torch.arange(r, 30, len(positions)) for r in range(len(positions))], rank)
        queries, gallery = (
            Embedded(*(part[own.own] for part in side[:2]), own.own, own, side[2][own.own])
            for side, own in ((left, shards), (right, other))
        )
        for where in (None, gallery):
            counts = count_pairs(queries, where, "class_and_group")
            bounds = bootstrap_identities(counts, queries, where, (0.1,), "class_and_group", 20)
            results.append((*(part.tolist() for part in counts), bounds))
        pairs = torch.tensor([[0, 29], [60, 3], [17, 17]])
        results.append(pair_distances(queries, gallery, pairs).tolist())
    return results


@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_ranks_count_what_one_counts(run_on_ranks, ranks):
    strides = [list(range(rank, 61, ranks)) for rank in range(ranks)]
    uneven = [list(range(61)), *([] for _ in range(ranks - 1))]
    alone = on_ranks([[list(range(61))]])
    for results in run_on_ranks(on_ranks, ranks, [strides, uneven]):
        assert results == [*alone, *alone]


def scores_and_targets(seed=0, n=400, decimals=2):
    draw = torch.Generator().manual_seed(seed)
    same = torch.rand(n, generator=draw) < 0.3
    distance = (torch.rand(n, generator=draw) + 0.4 * ~same).round(decimals=decimals).double()
    return distance, same


@pytest.mark.parametrize("decimals", [1, 2, 6])
def test_the_curve_is_scikit_learns(decimals):
    distance, same = scores_and_targets(decimals=decimals)
    curve = verification_curve(tally_distances(distance, same))
    far, tar, thresholds = roc_curve(same, -distance, drop_intermediate=False)
    assert curve.far.numpy() == pytest.approx(far)
    assert curve.tar.numpy() == pytest.approx(tar)
    assert np.array_equal(-curve.squared_distance.numpy(), thresholds)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("decimals", [1, 2, 6])
def test_scores_are_those_of_peers(seed, decimals):
    distance, same = scores_and_targets(seed, decimals=decimals)
    scores = score_verification(tally_distances(distance, same), fars=(0.1, 0.01, 0.001))
    assert scores["auc"] == pytest.approx(roc_auc_score(same, -distance))
    # as probabilities, in whose order torchmetrics does not lose what float32 cannot tell apart
    probability = 1 - distance / 2
    assert scores["eer"] == pytest.approx(float(binary_eer(probability, same.long())), abs=1e-6)
    far, tar, _ = binary_roc(probability, same.long())
    for wanted in (0.1, 0.01):
        assert scores[f"tar@{wanted:.0e}".replace("e-0", "e-")] == pytest.approx(
            float(tar[far <= wanted].max())
        )
    assert "tar@1e-3" not in scores
    assert scores["far_resolution"] == 1 / int((~same).sum())
    assert (scores["same_pairs"], scores["different_pairs"]) == (same.sum(), (~same).sum())


def test_auc_of_all_pairs_is_scikit_learns():
    rows, labels, _ = images(200, noise=2.0)
    i, j = torch.triu_indices(200, 200, 1)
    distance = (rows[i].double() - rows[j].double()).square().sum(1)
    auc = roc_auc_score(labels[i] == labels[j], -distance)
    assert evaluate_verification(embedded(rows, labels))["auc"] == pytest.approx(auc, abs=1e-6)


def test_the_smallest_far_that_pairs_can_say_is_scored():
    counts = PairCounts(torch.arange(4.0), torch.tensor([3, 0, 1, 0]), torch.tensor([0, 1, 0, 9]))
    assert score_verification(counts, (0.1, 0.099)) == pytest.approx(
        {
            "auc": 0.975,
            "eer": 0.05,
            "tar@1e-1": 1.0,
            "tar@1e-1/low": wilson_interval(4, 4)[0],
            "tar@1e-1/high": 1.0,
            "far_resolution": 0.1,
            "same_pairs": 4,
            "different_pairs": 10,
        }
    )


def test_equal_scores_are_chance():
    rows = embedded(torch.ones(6, 3), torch.tensor([0, 0, 0, 1, 1, 2]))
    scores = evaluate_verification(rows, fars=(0.5,))
    assert (scores["auc"], scores["eer"], scores["tar@5e-1"]) == (0.5, 0.5, 0)
    judged = judge_pairs(count_pairs(rows), fit_threshold(count_pairs(rows)))
    assert judged == (0.5, 1, 1)


def best_accuracy(distance, same):
    """Over thresholds between distances; the mean of the shares of either kind that are right."""
    between = sorted(set(distance.tolist()))
    thresholds = [(a + b) / 2 for a, b in zip(between, [*between[1:], between[-1]], strict=True)]
    return max(
        (
            sum(d <= t for d in distance[same].tolist()) / int(same.sum())
            + sum(d > t for d in distance[~same].tolist()) / int((~same).sum())
        )
        / 2
        for t in thresholds
    )


@pytest.mark.parametrize("seed", range(4))
def test_no_threshold_is_better_than_the_fitted(seed):
    distance, same = scores_and_targets(seed, n=100)
    counts = tally_distances(distance, same)
    threshold = fit_threshold(counts)
    judged = judge_pairs(counts, threshold)
    assert judged.accuracy == pytest.approx(best_accuracy(distance, same))
    assert judged.tar == pytest.approx((distance[same] <= threshold).double().mean().item())
    assert judged.far == pytest.approx((distance[~same] <= threshold).double().mean().item())
    assert (distance != threshold).all()


def test_a_threshold_may_be_judged_on_other_pairs():
    counts = tally_distances(torch.tensor([1.0, 3.0]), torch.tensor([True, False]))
    assert judge_pairs(counts, 0.5) == (0.5, 0, 0)
    assert judge_pairs(counts, 2.0) == (1.0, 1, 0)
    assert judge_pairs(counts, 9.0) == (0.5, 1, 1)


def test_folds_are_lfws():
    distance, _ = scores_and_targets(n=200)
    same = torch.arange(200) % 2 == 0
    distance = torch.where(same, distance, distance + 0.3)
    folds = torch.arange(200) // 20
    accuracies = []
    for fold in range(10):
        rest = folds != fold
        threshold = fit_threshold(tally_distances(distance[rest], same[rest]))
        right = (distance <= threshold) == same
        accuracies.append(right[~rest].double().mean().item())
    mean, error = fold_accuracy(distance, same, folds)
    assert mean == pytest.approx(np.mean(accuracies))
    assert error == pytest.approx(np.std(accuracies, ddof=1) / math.sqrt(10))


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilsons_interval_is_that_of_newcombe_1998(successes, trials, low, high):
    found = wilson_interval(successes, trials)
    assert found == pytest.approx((low, high), abs=5e-5)
    turned = wilson_interval(trials - successes, trials)
    assert turned == pytest.approx((1 - found[1], 1 - found[0]))


def test_bounds_hold_in_as_many_draws_as_they_say():
    """Of 40 data sets of other identities the bounds of most hold the AUC of very many images."""
    held = 0
    truth = evaluate_verification(embedded(*images(2000, 400, seed=99, noise=1.2)[:2]))["auc"]
    for seed in range(40):
        rows = embedded(*images(150, 30, seed, noise=1.2)[:2])
        counts = count_pairs(rows)
        bounds = bootstrap_identities(counts, rows, fars=(), draws=100)
        held += bounds["auc/identity_low"] <= truth <= bounds["auc/identity_high"]
    assert held / 40 >= 0.85


def test_the_first_order_is_near_the_bootstrap_itself():
    """Beside classes drawn again and again, with all their pairs."""
    rows, labels, _ = images(240, 40, seed=3, noise=1.2)
    side = embedded(rows, labels)
    bounds = bootstrap_identities(count_pairs(side), side, fars=(0.1,), draws=2000)
    i, j = torch.triu_indices(240, 240, 1)
    distance = (rows[i] - rows[j]).square().sum(1).double()
    same = labels[i] == labels[j]
    draw, drawn = np.random.default_rng(1), []
    for _ in range(300):
        times = torch.from_numpy(np.bincount(draw.integers(0, 40, 40), minlength=40))
        weight = torch.where(same, times[labels[i]], times[labels[i]] * times[labels[j]])
        counts = tally_distances(distance.repeat_interleave(weight), same.repeat_interleave(weight))
        drawn.append(score_verification(counts, (0.1,)))
    for name in ("auc", "eer", "tar@1e-1"):
        low, high = np.quantile([scores[name] for scores in drawn], (0.025, 0.975))
        width = bounds[f"{name}/identity_high"] - bounds[f"{name}/identity_low"]
        assert width == pytest.approx(high - low, rel=0.3)
        assert bounds[f"{name}/identity_low"] == pytest.approx(low, abs=0.3 * width)


ROWS, LABELS, GROUPS = images(12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: evaluate_verification(embedded(ROWS, torch.zeros(12).long())), "are 66 and 0"),
        (lambda: evaluate_verification(embedded(ROWS, torch.arange(12))), "there are 0 and 66"),
        (lambda: evaluate_verification(embedded(ROWS[:1], LABELS[:1])), "there are 0 and 0"),
        (lambda: count_pairs(embedded(ROWS.log(), LABELS)), "of 12 embeddings hold NaN"),
        (lambda: count_pairs(embedded(ROWS.double() * 1e200, LABELS)), "squares overflow: scale"),
        (lambda: count_pairs(embedded(ROWS, ROWS)), "by one integer class a row"),
        (lambda: count_pairs(embedded(ROWS, LABELS), apart="group"), "apart=group needs the group"),
        (lambda: count_pairs(embedded(ROWS, LABELS), apart="role"), "apart must be image, group"),
        (lambda: count_pairs(embedded(ROWS, LABELS, ids=LABELS * 0)), "two rows have the id 0"),
        (lambda: score_verification(count_pairs(embedded(ROWS, LABELS)), (0.0,)), "above 0 and"),
        (lambda: judge_pairs(count_pairs(embedded(ROWS, LABELS)), math.nan), "got NaN"),
        (lambda: wilson_interval(3, 2), "got 3 of 2"),
        (
            lambda: pair_distances(embedded(ROWS, LABELS), embedded(ROWS, LABELS), LABELS[:, None]),
            "rows of two positions",
        ),
        (
            lambda: pair_distances(*[embedded(ROWS, LABELS)] * 2, torch.tensor([[0, 12]])),
            r"pairs name rows 12\.\.12 of a side that has rows 0\.\.11",
        ),
        (lambda: tally_distances(torch.tensor([-1.0]), torch.tensor([True])), "0 or more"),
        (
            lambda: fold_accuracy(*scores_and_targets(), torch.zeros(400).long()),
            "folds must be two or more; got 1",
        ),
        (
            lambda: bootstrap_identities(
                count_pairs(embedded(ROWS[:9], LABELS[:9])), embedded(ROWS, LABELS)
            ),
            "of other pairs",
        ),
    ],
)
def test_says_what_is_wrong(unchecked, call, message):
    with pytest.raises(ValueError, match=message):
        call()
