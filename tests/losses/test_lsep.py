"""LSEP against its double sum, written from the paper."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ranklight.losses import LSEPLoss, TwoWayLoss


def equation(rows):
    total = 0.0
    for positives, negatives in rows:
        gaps = [u - v for u in negatives for v in positives]
        largest = max([0.0, *gaps])
        inner = math.exp(-largest) + sum(math.exp(gap - largest) for gap in gaps)
        total += largest + math.log(inner)
    return total / len(rows)


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
    assert LSEPLoss()(*inputs).item() == pytest.approx(equation(sides(*inputs)), rel=1e-11)


def test_by_hand():
    similarity = torch.tensor([[1.0, 0.0, 3.0], [5.0, 5.0, 5.0]])
    relevance = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    expected = math.log(1 + math.exp(-1) + math.exp(2)) / 2
    loss = LSEPLoss()(similarity, relevance, torch.ones(2, 3, dtype=torch.bool))
    assert loss.item() == pytest.approx(expected)


@pytest.mark.parametrize("max_pairs", [None, 1000])
def test_gradient(multi_hot, max_pairs):
    similarity, relevance, selection = multi_hot(0, 5, 6)
    loss = LSEPLoss(max_pairs)
    assert torch.autograd.gradcheck(lambda s: loss(s, relevance, selection), (similarity,))


@pytest.mark.parametrize("max_pairs", [None, 4])
def test_rows_without_a_pair_cost_nothing(multi_hot, max_pairs):
    similarity, relevance, selection = multi_hot(1, 5, 6)
    LSEPLoss(max_pairs)(similarity, relevance, selection).backward()
    assert (similarity.grad[:3] == 0).all()
    assert (similarity.grad[3:] != 0).any()
    loss = LSEPLoss(max_pairs)(similarity[:3], relevance[:3], selection[:3])
    assert loss.item() == 0


def test_at_temperature_1_the_rows_of_two_way_are_lsep(multi_hot):
    similarity, relevance, _ = multi_hot(2, 1, 7)
    relevance[0, :3] = 1
    known = torch.ones(1, 7, dtype=torch.bool)
    two_way = TwoWayLoss(positive_temperature=1.0)(similarity, relevance, known)
    torch.testing.assert_close(two_way, LSEPLoss()(similarity, relevance, known))


def test_all_pairs_count_where_there_are_at_most_max_pairs(multi_hot):
    inputs = multi_hot(3, 6, 9)
    torch.testing.assert_close(LSEPLoss(max_pairs=20)(*inputs), LSEPLoss()(*inputs))


def test_max_pairs_draws_that_many_distinct_pairs_all_equally_often():
    rows, pairs, most = 4000, 12, 7
    positives = torch.tensor([0.0, -4.0, -8.0])
    negatives = torch.tensor([0.0, 1.0, 2.0, 3.0])
    similarity = (torch.cat([positives, negatives]) * math.log(2)).double().repeat(rows, 1)
    relevance = torch.tensor([[1.0] * 3 + [0.0] * 4]).repeat(rows, 1)
    torch.manual_seed(0)
    drawn = torch.zeros(pairs)
    for row in range(rows):
        one = slice(row, row + 1)
        loss = LSEPLoss(most)(similarity[one], relevance[one], torch.ones(1, 7, dtype=torch.bool))
        bits = round(math.exp(loss.item())) - 1
        assert bits.bit_count() == most
        drawn += torch.tensor([bits >> bit & 1 for bit in range(pairs)])
    torch.testing.assert_close(drawn / rows, torch.full((pairs,), most / pairs), atol=0.03, rtol=0)


def test_a_hundred_thousand_labels_need_no_table():
    similarity = torch.randn(2, 100_000, requires_grad=True)
    relevance = (torch.rand(2, 100_000) < 0.01).float()
    LSEPLoss()(similarity, relevance, torch.ones(2, 100_000, dtype=torch.bool)).backward()
    assert similarity.grad.sum(1).abs().max() < 1e-4
