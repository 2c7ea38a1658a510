"""Passes over a row for each positive against loops, and against the sort of the row."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ranklight.kernels import few_positives
from ranklight.kernels.few_positives import active_among_few, closest_below_few, few_columns
from ranklight.kernels.orders import closest_below
from ranklight.kernels.packing import true_columns
from ranklight.losses import TripletLoss
from ranklight.miners import SemiHard

shapes = (st.integers(0, 2**31), st.integers(1, 6), st.integers(1, 9))
dtypes = st.sampled_from([torch.float32, torch.float64])


def make(seed, anchors, references, dtype=torch.float32):
    """Similarities of few values, so that many tie; sides that leave some pairs out."""
    torch.manual_seed(seed)
    scale = [1.0, 1e-30, 1e30][seed % 3]
    similarity = scale * (torch.rand(anchors, references, dtype=dtype) * 8 - 4).round()
    side = torch.randint(4, (anchors, references))
    return similarity, side == 0, side >= 2


@settings(max_examples=100, deadline=None)
@given(*shapes, dtypes, st.booleans())
def test_closest_below(seed, anchors, references, dtype, or_farthest):
    similarity, positive, negative = make(seed, anchors, references, dtype)
    columns = true_columns(positive)
    found = closest_below_few(similarity, columns, negative, or_farthest)
    for a, row in enumerate(columns.tolist()):
        s = similarity[a].tolist()
        negatives = negative[a].nonzero().flatten().tolist()
        for p, i in enumerate(row):
            below = [j for j in negatives if i >= 0 and s[j] < s[i]]
            expected = max(below, key=lambda j: (s[j], j), default=-1)
            if or_farthest and i >= 0 and not below and negatives:
                expected = min(negatives, key=lambda j: (s[j], j))
            assert found[a, p] == expected


@settings(max_examples=100, deadline=None)
@given(*shapes, dtypes, st.sampled_from([-1.0, 0.0, 0.5, 1.0]))
def test_active_pairs(seed, anchors, references, dtype, gap):
    similarity, positive, negative = make(seed, anchors, references, dtype)
    weight, active = active_among_few(similarity, true_columns(positive), negative, gap)
    expected = torch.zeros_like(similarity)
    for a, i in positive.nonzero().tolist():
        for j in negative[a].nonzero().flatten().tolist():
            if similarity[a, j] > similarity[a, i] - gap:
                expected[a, j] += 1
                expected[a, i] -= 1
    assert torch.equal(weight, expected)
    assert torch.equal(active.to(dtype), expected.clamp(min=0).sum(1))


def test_wide_rows_with_few_positives_are_not_sorted():
    mask = torch.zeros(2, 64, dtype=torch.bool)
    mask[0, [3, 40]] = True
    assert few_columns(mask).tolist() == [[3, 40], [-1, -1]]
    mask[1, :3] = True
    assert few_columns(mask) is None
    assert few_columns(mask[:, :20]) is None
    assert few_columns(mask[:0]) is None
    wide = torch.zeros(1, 5000, dtype=torch.bool)
    wide[0, :32] = True
    assert few_columns(wide).shape == (1, 32)
    wide[0, 32] = True
    assert few_columns(wide) is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("or_farthest", [True, False])
def test_both_ways_take_the_same_opponents(monkeypatch, dtype, or_farthest):
    similarity, positive, negative = make(0, 300, 200, dtype)
    positive &= torch.rand(300, 200) < 0.03
    negative[:5] = False
    by_passes = closest_below(similarity, positive, negative, or_farthest)
    assert (by_passes >= 0).any(1).sum() > 200
    monkeypatch.setattr(few_positives, "_MAX_PASSES", -1)
    assert torch.equal(closest_below(similarity, positive, negative, or_farthest), by_passes)


@pytest.mark.parametrize("miner", [None, SemiHard(), SemiHard(0.5)])
def test_both_ways_give_the_same_loss_and_gradient(monkeypatch, miner):
    torch.manual_seed(0)
    labels = torch.arange(192) // 4
    relevance = (labels[:, None] == labels).float()
    mask = ~torch.eye(192, dtype=torch.bool)
    outcomes = []
    for most in (32, -1):
        monkeypatch.setattr(few_positives, "_MAX_PASSES", most)
        torch.manual_seed(0)
        similarity = torch.randn(192, 192, dtype=torch.float64).requires_grad_()
        selection = miner(similarity.detach(), relevance, mask) if miner else mask
        loss = TripletLoss(average="pairs")(similarity, relevance, selection)
        loss.backward()
        assert loss > 0
        outcomes.append((loss, similarity.grad))
    torch.testing.assert_close(*outcomes, rtol=1e-12, atol=1e-12)
