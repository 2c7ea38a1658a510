"""The two-way loss against its sums over rows and columns, and timm's."""

import math

import pytest
import timm.loss
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ranklight.losses import TwoWayLoss


def log_sum(exponents):
    largest = max(exponents)
    return largest + math.log(sum(math.exp(x - largest) for x in exponents))


def half(lines, t_p, t_n):
    costs = []
    for positives, negatives in lines:
        if positives and negatives:
            low = t_p * log_sum([-v / t_p for v in positives])
            order = low + t_n * log_sum([u / t_n for u in negatives])
            costs.append(max(order, 0.0) + math.log1p(math.exp(-abs(order))))
        elif positives:
            costs.append(0.0)
    return sum(costs) / max(len(costs), 1)


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
    columns = [tensor.T for tensor in inputs]
    expected = half(sides(*inputs), 4.0, 1.0) + half(sides(*columns), 4.0, 1.0)
    assert TwoWayLoss()(*inputs).item() == pytest.approx(expected, rel=1e-10, abs=1e-12)


def test_temperatures(multi_hot, sides):
    assert (TwoWayLoss().positive_temperature, TwoWayLoss().negative_temperature) == (4, 1)
    inputs = multi_hot(0, 6, 8)
    columns = [tensor.T for tensor in inputs]
    expected = half(sides(*inputs), 0.5, 3.0) + half(sides(*columns), 0.5, 3.0)
    assert TwoWayLoss(0.5, 3.0)(*inputs).item() == pytest.approx(expected)


def test_gradient(multi_hot):
    similarity, relevance, selection = multi_hot(0, 5, 6)
    assert torch.autograd.gradcheck(lambda s: TwoWayLoss()(s, relevance, selection), (similarity,))


@pytest.mark.parametrize("relevance", [0.0, 1.0])
def test_without_a_pair_it_costs_nothing(multi_hot, relevance):
    similarity, _, selection = multi_hot(1, 5, 6)
    loss = TwoWayLoss()(similarity, torch.full((5, 6), relevance).double(), selection)
    loss.backward()
    assert loss.item() == 0
    assert (similarity.grad == 0).all()


def test_is_timms(multi_hot):
    peer = getattr(timm.loss, "TwoWayLoss", None)
    if peer is None:
        pytest.skip("this timm has no two-way loss")
    similarity, relevance, _ = multi_hot(3, 6, 9)
    similarity, relevance = similarity.float(), relevance.float()
    loss = TwoWayLoss()(similarity, relevance, relevance >= 0)
    torch.testing.assert_close(loss, peer()(similarity, relevance))
