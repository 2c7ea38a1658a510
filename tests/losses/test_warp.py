"""WARP against its double sum with harmonic weights, and the sampled rank in the mean."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ranklight.losses import HingeRankingLoss, WARPLoss


def harmonic(rank):
    return sum(1 / k for k in range(1, rank + 1))


def equation(rows, margin=1.0):
    total = 0.0
    for positives, negatives in rows:
        for v in positives:
            rank = 1 + sum(other > v for other in positives + negatives)
            total += harmonic(rank) * sum(max(0.0, margin + u - v) for u in negatives)
    return total / len(rows)


def mean_sampled_weight(violating, candidates):
    chance = violating / candidates
    return sum(
        chance * (1 - chance) ** (draws - 1) * harmonic(candidates // draws)
        for draws in range(1, candidates + 1)
    )


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**31),
    st.integers(1, 6),
    st.integers(1, 9),
    st.sampled_from([1.0, 1e3]),
    st.booleans(),
)
def test_is_its_equation(multi_hot, sides, seed, rows, labels, spread, ties):
    inputs = multi_hot(seed, rows, labels, spread, ties)
    expected = equation(sides(*inputs))
    assert WARPLoss()(*inputs).item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_defaults_and_margin(multi_hot, sides):
    assert WARPLoss().margin == 1
    assert not WARPLoss().sampled_rank
    inputs = multi_hot(0, 6, 8)
    assert WARPLoss(0.3)(*inputs).item() == pytest.approx(equation(sides(*inputs), margin=0.3))


def test_gradient(multi_hot):
    similarity, relevance, selection = multi_hot(0, 5, 6)
    assert torch.autograd.gradcheck(lambda s: WARPLoss()(s, relevance, selection), (similarity,))


@pytest.mark.parametrize("sampled_rank", [False, True])
def test_rows_without_a_pair_cost_nothing(multi_hot, sampled_rank):
    similarity, relevance, selection = multi_hot(1, 5, 6)
    loss = WARPLoss(sampled_rank=sampled_rank)
    loss(similarity, relevance, selection).backward()
    assert (similarity.grad[:3] == 0).all()
    assert (similarity.grad[3:] != 0).any()
    assert loss(similarity[:3], relevance[:3], selection[:3]).item() == 0


def test_one_positive_at_the_top_is_the_hinge_loss():
    similarity = torch.tensor([[2.0, 1.5, 1.0, -3.0]])
    inputs = (similarity, torch.tensor([[1.0, 0, 0, 0]]), torch.ones(1, 4, dtype=torch.bool))
    assert WARPLoss()(*inputs).item() == HingeRankingLoss()(*inputs).item() == 0.5


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0]])
def test_equal_scores_share_the_best_rank(order):
    similarity = torch.tensor([[1.0, 1.0, 1.0, 0.0]])[:, order]
    relevance = torch.tensor([[0.0, 1.0, 0.0, 0.0]])[:, order]
    assert WARPLoss()(similarity, relevance, relevance >= 0).item() == harmonic(1) * 2


def test_the_sampled_rank_has_the_mean_of_drawing_negatives_one_by_one():
    scores = [0.0, 0.5, 0.2, -0.5, -3.0, -4.0, -5.0, -6.0]
    similarity = torch.tensor([scores]).repeat(40_000, 1)
    relevance = torch.zeros_like(similarity)
    relevance[:, 0] = 1
    torch.manual_seed(0)
    loss = WARPLoss(sampled_rank=True)(similarity, relevance, relevance >= 0)
    expected = mean_sampled_weight(violating=3, candidates=7) * (1.5 + 1.2 + 0.5)
    assert loss.item() == pytest.approx(expected, rel=0.02)


def test_the_sampled_rank_is_certain_when_every_negative_violates():
    similarity = torch.tensor([[0.0, 5.0, 6.0, 7.0]])
    relevance = torch.tensor([[1.0, 0, 0, 0]])
    loss = WARPLoss(sampled_rank=True)(similarity, relevance, relevance >= 0)
    assert loss.item() == pytest.approx(harmonic(3) * (6 + 7 + 8))
    assert math.isfinite(loss.item())


@pytest.mark.parametrize("lot", [0.0, 1 - 2**-24])
def test_the_sampled_rank_of_a_label_that_nothing_violates_is_0(lot, monkeypatch):
    monkeypatch.setattr(torch, "rand_like", lambda like: torch.full_like(like, lot))
    similarity = torch.tensor([[9.0, 0.0, 1.0]])
    relevance = torch.tensor([[1.0, 0.0, 0.0]])
    assert WARPLoss(sampled_rank=True)(similarity, relevance, relevance >= 0).item() == 0
