"""BP-MLL against its double sum."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ranklight.losses import BPMLLLoss


def equation(rows, average="anchors"):
    total = 0.0
    for positives, negatives in rows:
        cost = sum(math.exp(u - v) for u in negatives for v in positives)
        pairs = len(positives) * len(negatives)
        total += cost / max(pairs, 1) if average == "pairs" else cost
    return total / len(rows)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**31),
    st.integers(1, 6),
    st.integers(1, 9),
    st.sampled_from([1.0, 5.0]),
    st.booleans(),
    st.sampled_from(["anchors", "pairs"]),
)
def test_is_its_equation(multi_hot, sides, seed, rows, labels, spread, ties, average):
    inputs = multi_hot(seed, rows, labels, spread, ties)
    expected = equation(sides(*inputs), average)
    assert BPMLLLoss(average)(*inputs).item() == pytest.approx(expected, rel=1e-10)


def test_sums_over_pairs_by_default():
    assert BPMLLLoss().average == "anchors"


@pytest.mark.parametrize("average", ["anchors", "pairs"])
def test_gradient(multi_hot, average):
    similarity, relevance, selection = multi_hot(0, 5, 6)
    loss = BPMLLLoss(average)
    assert torch.autograd.gradcheck(lambda s: loss(s, relevance, selection), (similarity,))


def test_rows_without_a_pair_cost_nothing(multi_hot):
    similarity, relevance, selection = multi_hot(1, 5, 6)
    BPMLLLoss()(similarity, relevance, selection).backward()
    assert (similarity.grad[:3] == 0).all()
    assert (similarity.grad[3:] != 0).any()
    assert BPMLLLoss()(similarity[:3], relevance[:3], selection[:3]).item() == 0


def test_far_beyond_the_range_of_floats_it_is_the_tangent_at_60():
    similarity = torch.tensor([[0.0, 1000.0]], requires_grad=True)
    known = torch.ones(1, 2, dtype=torch.bool)
    loss = BPMLLLoss()(similarity, torch.tensor([[1.0, 0.0]]), known)
    loss.backward()
    assert loss.item() == pytest.approx(math.exp(60) * (1 + 940), rel=1e-5)
    assert similarity.grad.tolist()[0] == pytest.approx([-math.exp(60), math.exp(60)], rel=1e-5)
