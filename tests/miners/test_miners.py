"""Miners against their rules as loops, and what every miner promises."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning import distances
from pytorch_metric_learning import miners as peers

from ranklight import miners
from ranklight.losses import TripletLoss
from ranklight.miners import (
    ByRelevance,
    DistanceWeighted,
    Hardest,
    KeepAll,
    MultiSimilarityMiner,
    SemiHard,
)
from ranklight.pairs import InBatch, SameClass, compare

EVERY = [
    ByRelevance(),
    DistanceWeighted(8),
    Hardest(),
    KeepAll(),
    MultiSimilarityMiner(),
    SemiHard(),
    SemiHard(margin=0.3),
]
# BatchTriplets takes batches of whole triplets only: test_batch_triplets.py. FromPML takes no S.
HERE = {type(miner).__name__ for miner in EVERY} | {"BatchTriplets", "FromPML"}
EVERY += [getattr(miners, name)() for name in miners.__all__ if name not in HERE]
sizes = (st.integers(0, 2**31), st.integers(1, 6), st.integers(1, 9))


def make(seed, anchors, references, dtype=torch.float32):
    torch.manual_seed(seed)
    similarity = (torch.rand(anchors, references, dtype=dtype) * 16).round() / 8 - 1
    relevance = torch.randint(2, (anchors, references)).float()
    return similarity, relevance, torch.rand(anchors, references) < 0.8


def pairs_of(similarity, relevance, mask):
    """Each selected positive (a, i), and the selected negatives of a."""
    n, m = similarity.shape
    for a in range(n):
        negatives = [j for j in range(m) if mask[a, j] and relevance[a, j] <= 0]
        for i in range(m):
            if mask[a, i] and relevance[a, i] > 0:
                yield a, i, negatives


@pytest.mark.parametrize("miner", EVERY)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_a_selection_is_part_of_the_mask(miner, dtype):
    for seed in range(20):
        similarity, relevance, mask = make(seed, 1 + seed % 6, 1 + seed % 9, dtype)
        before = similarity.clone(), relevance.clone(), mask.clone()
        selection = miner(similarity, relevance, mask)
        assert all(map(torch.equal, before, (similarity, relevance, mask)))
        assert selection.shape == mask.shape
        if selection.dtype == torch.bool:
            assert not (selection & ~mask).any()
            continue
        found = {(a, i): negatives for a, i, negatives in pairs_of(similarity, relevance, mask)}
        for a, i in (selection >= 0).nonzero().tolist():
            assert selection[a, i].item() in found[a, i]


@pytest.mark.parametrize("miner", [m for m in EVERY if not isinstance(m, DistanceWeighted)])
def test_blind_to_masked_pairs(miner):
    similarity, relevance, mask = make(0, 6, 9)
    for garbage in (1e30, -torch.inf, torch.inf, torch.nan):
        wild = torch.where(mask, similarity, garbage), torch.where(mask, relevance, -garbage)
        assert torch.equal(miner(*wild, mask), miner(similarity, relevance, mask))


@settings(max_examples=60, deadline=None)
@given(*sizes, st.sampled_from([torch.float32, torch.float64]))
def test_semi_hard(seed, anchors, references, dtype):
    similarity, relevance, mask = make(seed, anchors, references, dtype)
    opponents, bounded = (
        SemiHard()(similarity, relevance, mask),
        SemiHard(0.5)(similarity, relevance, mask),
    )
    expected, in_band = torch.full_like(similarity, math.nan), torch.full_like(similarity, math.nan)
    for a, i, negatives in pairs_of(similarity, relevance, mask):
        values = [similarity[a, j].item() for j in negatives]
        beyond = [s for s in values if s < similarity[a, i]]
        if values:
            expected[a, i] = max(beyond) if beyond else min(values)
        if beyond and max(beyond) > similarity[a, i] - 0.25:
            in_band[a, i] = max(beyond)
    for chosen, wanted in ((opponents, expected), (bounded, in_band)):
        found = similarity.gather(1, chosen.clamp(min=0)).masked_fill(chosen < 0, math.nan)
        torch.testing.assert_close(found, wanted, equal_nan=True, rtol=0, atol=0)


@settings(max_examples=40, deadline=None)
@given(*sizes)
def test_hardest(seed, anchors, references):
    similarity, relevance, mask = make(seed, anchors, references)
    opponents = Hardest()(similarity, relevance, mask)
    hardest = {}
    for a, i, negatives in pairs_of(similarity, relevance, mask):
        if negatives and (a not in hardest or similarity[a, i] < similarity[a, hardest[a][0]]):
            hardest[a] = i, max(similarity[a, j].item() for j in negatives)
    assert {a for a, _ in (opponents >= 0).nonzero().tolist()} == set(hardest)
    for a, (i, closest) in hardest.items():
        assert similarity[a, opponents[a, i]].item() == closest
        assert (opponents[a] >= 0).sum() == 1


def test_batch_hard_peer():
    torch.manual_seed(0)
    z, labels = torch.nn.functional.normalize(torch.randn(24, 4)), torch.arange(24) // 4
    opponents = Hardest()(*compare(z, labels, InBatch(), SameClass()))
    a, i, j = peers.BatchHardMiner(distance=distances.LpDistance(power=2))(z, labels)
    assert opponents[a, i].tolist() == j.tolist()
    assert (opponents >= 0).sum() == len(a)


def test_bounded_semi_hard_takes_from_the_peer_s_band_its_closest():
    torch.manual_seed(0)
    z, labels = torch.nn.functional.normalize(torch.randn(24, 4)), torch.arange(24) // 4
    opponents = SemiHard(margin=0.2)(*compare(z, labels, InBatch(), SameClass()))
    peer = peers.TripletMarginMiner(0.2, "semihard", distance=distances.LpDistance(power=2))
    band = {}
    for a, i, j in zip(*(index.tolist() for index in peer(z, labels)), strict=True):
        band.setdefault((a, i), []).append(j)
    similarity = z @ z.T
    closest = {(a, i): max(js, key=lambda j, a=a: similarity[a, j]) for (a, i), js in band.items()}
    assert {(a, i): opponents[a, i].item() for a, i in closest} == closest
    assert (opponents >= 0).sum() == len(closest)


@settings(max_examples=40, deadline=None)
@given(*sizes)
def test_multi_similarity(seed, anchors, references):
    similarity, relevance, mask = make(seed, anchors, references)
    kept = MultiSimilarityMiner()(similarity, relevance, mask)
    for a, (s, r, m) in enumerate(
        zip(similarity.tolist(), relevance.tolist(), mask.tolist(), strict=True)
    ):
        positives = [x for x, y, c in zip(s, r, m, strict=True) if c and y > 0]
        negatives = [x for x, y, c in zip(s, r, m, strict=True) if c and y <= 0]
        for j, x in enumerate(s):
            if r[j] > 0:
                wanted = m[j] and bool(negatives) and x < max(negatives) + 0.1
            else:
                wanted = m[j] and bool(positives) and x > min(positives) - 0.1
            assert kept[a, j].item() == wanted


def test_by_relevance_drops_anchors_with_nothing_to_rank():
    relevance = torch.tensor([[0.2, 0.2, 0.9], [0.2, 0.5, 0.2]])
    mask = torch.tensor([[True, True, False], [True, True, False]])
    kept = ByRelevance()(torch.zeros(2, 3), relevance, mask)
    assert kept.tolist() == [[False, False, False], [True, True, False]]


def test_distance_weighted_draws_by_the_inverse_density():
    distance = torch.tensor([0.3, 0.8, 1.1, 1.3, 1.5, 0.6])
    similarity = (1 - distance.square() / 2).expand(20_000, -1)
    relevance = torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, 1.0]).expand(20_000, -1)
    torch.manual_seed(0)
    opponents = DistanceWeighted(6)(similarity, relevance, torch.ones(20_000, 6).bool())
    assert (opponents[:, :5] == -1).all()
    weights = []
    for d in [max(x, 0.5) for x in distance[:4].tolist()]:
        weights.append(1 / (d ** (6 - 2) * (1 - d * d / 4) ** ((6 - 3) / 2)))
    expected = [w / sum(weights) for w in weights]
    drawn = torch.bincount(opponents[:, 5], minlength=6) / 20_000
    assert drawn[:4].tolist() == pytest.approx(expected, abs=0.015)
    assert drawn[4:].sum() == 0


def test_distance_weighted_is_fixed_by_the_seed_and_drops_what_is_far():
    similarity, relevance, mask = make(0, 6, 9)
    torch.manual_seed(1)
    first = DistanceWeighted(8)(similarity, relevance, mask)
    torch.manual_seed(1)
    assert torch.equal(first, DistanceWeighted(8)(similarity, relevance, mask))
    opposite = torch.where(relevance > 0, similarity, -1.0)
    assert (DistanceWeighted(8)(opposite, relevance, mask) == -1).all()


def test_opponents_and_pairs_both_go_into_the_triplet_loss():
    similarity, relevance, mask = make(0, 6, 9)
    for miner in EVERY:
        assert TripletLoss()(similarity, relevance, miner(similarity, relevance, mask)).isfinite()


def test_distance_weighted_without_a_cutoff_draws_all_that_coincide():
    """A density of 0 at distance 0, of which the inverse has no limit."""
    torch.manual_seed(0)
    similarity = torch.tensor([[1.0, 1.0, 1.0, 0.5, 0.0]]).expand(2_000, -1)
    relevance = torch.tensor([[1.0, 0.0, 0.0, 0.0, 0.0]]).expand(2_000, -1)
    for dim in (2, 8):
        torch.manual_seed(1)
        opponents = DistanceWeighted(dim, cutoff=0.0)(similarity, relevance, relevance >= 0)[:, 0]
        torch.manual_seed(1)
        nearly = DistanceWeighted(dim, cutoff=1e-3)(similarity, relevance, relevance >= 0)[:, 0]
        assert torch.equal(opponents, nearly)
        assert {1, 2} <= set(opponents.tolist())


@pytest.mark.parametrize(
    "wrong",
    [{"embedding_dim": 1}, {"cutoff": -0.1}, {"cutoff": 2.0}, {"farthest": -0.01}],
)
def test_distance_weighted_refuses_what_is_no_distance(wrong):
    with pytest.raises(ValueError, match="sphere"):
        DistanceWeighted(**{"embedding_dim": 8, **wrong})


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
@pytest.mark.parametrize("miner", EVERY)
def test_of_nothing_nothing_is_chosen(miner, shape):
    assert miner(torch.ones(shape), torch.ones(shape), torch.ones(shape).bool()).shape == shape
