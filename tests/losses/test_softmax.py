"""Softmax cross-entropy with several positives, and torch's with one."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from ranklight.losses import SoftmaxLoss


def equation(rows):
    total = 0.0
    for positives, negatives in rows:
        scores = positives + negatives
        largest = max(scores, default=0.0)
        for v in positives:
            log_sum = largest + math.log(sum(math.exp(score - largest) for score in scores))
            total += (log_sum - v) / len(positives)
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
    expected = equation(sides(*inputs))
    assert SoftmaxLoss()(*inputs).item() == pytest.approx(expected, rel=1e-10, abs=1e-9)


@pytest.mark.parametrize("sampled", [False, True])
def test_one_positive_a_row_is_torchs_cross_entropy(sampled):
    torch.manual_seed(0)
    similarity, target = torch.randn(7, 5), torch.randint(5, (7,))
    known = torch.ones(7, 5, dtype=torch.bool)
    loss = SoftmaxLoss(sampled)(similarity, F.one_hot(target, 5).float(), known)
    torch.testing.assert_close(loss, F.cross_entropy(similarity, target))


def test_gradient(multi_hot):
    similarity, relevance, selection = multi_hot(0, 5, 6)
    assert torch.autograd.gradcheck(lambda s: SoftmaxLoss()(s, relevance, selection), (similarity,))


@pytest.mark.parametrize("sampled", [False, True])
def test_rows_without_a_positive_cost_nothing(multi_hot, sampled):
    similarity, relevance, selection = multi_hot(1, 5, 6)
    SoftmaxLoss(sampled)(similarity, relevance, selection).backward()
    assert (similarity.grad[[0, 2]] == 0).all()
    assert (similarity.grad[1] != 0).any()
    rows = [0, 2]
    assert SoftmaxLoss()(similarity[rows], relevance[rows], selection[rows]).item() == 0


def test_drawing_a_positive_gives_the_same_on_average(multi_hot):
    similarity, relevance, selection = multi_hot(3, 6, 9)
    exact = SoftmaxLoss()(similarity, relevance, selection)
    many = [tensor.repeat(5000, 1) for tensor in (similarity, relevance, selection)]
    drawn = SoftmaxLoss(sampled=True)(*many)
    assert drawn.item() == pytest.approx(exact.item(), rel=0.02)
    assert drawn.item() != exact.item()
