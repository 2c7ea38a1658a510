"""Binary cross-entropy over known labels, and torch's."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ranklight.losses import BinaryCrossEntropyLoss


def log1p_exp(x):
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def equation(rows, average="pairs"):
    costs = [log1p_exp(-v) for positives, _ in rows for v in positives]
    costs += [log1p_exp(u) for _, negatives in rows for u in negatives]
    return sum(costs) / (max(len(costs), 1) if average == "pairs" else len(rows))


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**31),
    st.integers(1, 6),
    st.integers(1, 9),
    st.sampled_from([1.0, 1e3]),
    st.sampled_from(["pairs", "anchors"]),
)
def test_is_its_equation(multi_hot, sides, seed, rows, labels, spread, average):
    inputs = multi_hot(seed, rows, labels, spread)
    expected = equation(sides(*inputs), average)
    assert BinaryCrossEntropyLoss(average)(*inputs).item() == pytest.approx(expected, rel=1e-11)


def test_averages_over_labels_by_default_as_torchs_does(multi_hot):
    similarity, relevance, _ = multi_hot(0, 5, 6)
    loss = BinaryCrossEntropyLoss()(similarity, relevance, relevance >= 0)
    torch.testing.assert_close(loss, torch.nn.BCEWithLogitsLoss()(similarity, relevance))


@pytest.mark.parametrize("average", ["pairs", "anchors"])
def test_gradient(multi_hot, average):
    similarity, relevance, selection = multi_hot(0, 5, 6)
    loss = BinaryCrossEntropyLoss(average)
    assert torch.autograd.gradcheck(lambda s: loss(s, relevance, selection), (similarity,))


def test_unknown_labels_cost_nothing(multi_hot):
    similarity, relevance, selection = multi_hot(1, 5, 6)
    BinaryCrossEntropyLoss()(similarity, relevance, selection).backward()
    assert (similarity.grad[~selection] == 0).all()
    assert (similarity.grad[selection] != 0).all()
