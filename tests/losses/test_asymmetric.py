"""The asymmetric loss against its formula, and timm's."""

import inspect
import math

import pytest
import timm.loss
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ranklight.losses import AsymmetricLoss, BinaryCrossEntropyLoss


def log_sigmoid(x):
    return min(x, 0.0) - math.log1p(math.exp(-abs(x)))


def equation(rows, positive_focus=1.0, negative_focus=4.0, clip=0.05, average="sum"):
    costs = []
    for positives, negatives in rows:
        for v in positives:
            costs.append(-(math.exp(log_sigmoid(-v)) ** positive_focus) * log_sigmoid(v))
        for u in negatives:
            shifted = max(math.exp(log_sigmoid(u)) - clip, 0.0)
            log_rest = math.log(1 - shifted) if clip > 0 else log_sigmoid(-u)
            costs.append(-(shifted**negative_focus) * log_rest)
    return sum(costs) / (max(len(costs), 1) if average == "pairs" else 1)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**31),
    st.integers(1, 6),
    st.integers(1, 9),
    st.sampled_from([1.0, 1e3]),
    st.sampled_from([0.0, 1.0, 2.5]),
    st.sampled_from([0.0, 0.5, 4.0]),
    st.sampled_from([0.0, 0.05]),
    st.sampled_from(["sum", "pairs"]),
)
def test_is_its_equation(
    multi_hot, sides, seed, rows, labels, spread, positive, negative, clip, average
):
    similarity, relevance, selection = multi_hot(seed, rows, labels, spread)
    loss = AsymmetricLoss(positive, negative, clip, average)(similarity, relevance, selection)
    lists = sides(similarity, relevance, selection)
    expected = equation(lists, positive, negative, clip, average)
    assert loss.item() == pytest.approx(expected, rel=1e-9, abs=1e-12)
    loss.backward()
    assert similarity.grad.isfinite().all()


def test_defaults(multi_hot, sides):
    loss = AsymmetricLoss()
    settings = (loss.positive_focus, loss.negative_focus, loss.clip, loss.average)
    assert settings == (1, 4, 0.05, "sum")
    inputs = multi_hot(0, 6, 8)
    assert loss(*inputs).item() == pytest.approx(equation(sides(*inputs)))


@pytest.mark.parametrize("clip", [0.0, 0.05])
def test_gradient(multi_hot, clip):
    similarity, relevance, selection = multi_hot(0, 5, 6)
    loss = AsymmetricLoss(clip=clip)
    assert torch.autograd.gradcheck(lambda s: loss(s, relevance, selection), (similarity,))


def test_without_focus_and_clip_it_is_binary_cross_entropy(multi_hot):
    inputs = multi_hot(1, 5, 6)
    plain = AsymmetricLoss(positive_focus=0.0, negative_focus=0.0, clip=0.0, average="pairs")
    torch.testing.assert_close(plain(*inputs), BinaryCrossEntropyLoss()(*inputs))


def test_easy_negatives_cost_nothing():
    similarity = torch.tensor([[-3.0]], requires_grad=True)
    loss = AsymmetricLoss()(similarity, torch.zeros(1, 1), torch.ones(1, 1, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert similarity.grad.item() == 0


def test_a_confident_mistake_keeps_its_gradient():
    similarity = torch.tensor([[-40.0]], requires_grad=True)
    loss = AsymmetricLoss()(similarity, torch.ones(1, 1), torch.ones(1, 1, dtype=torch.bool))
    loss.backward()
    assert loss.item() == pytest.approx(40)
    assert similarity.grad.item() == pytest.approx(-1)


def test_is_timms(multi_hot):
    peer = timm.loss.AsymmetricLossMultiLabel
    if "reduction" not in inspect.signature(peer).parameters:
        pytest.skip("this timm has no named reduction")
    similarity, relevance, _ = multi_hot(2, 6, 9)
    similarity, relevance = similarity.detach().float().requires_grad_(), relevance.float()
    loss = AsymmetricLoss()(similarity, relevance, relevance >= 0)
    theirs = peer(reduction="sum")(similarity, relevance)
    torch.testing.assert_close(loss, theirs)
    grads = [torch.autograd.grad(value, similarity)[0] for value in (loss, theirs)]
    torch.testing.assert_close(*grads, atol=1e-6, rtol=1e-4)


def test_the_released_training_takes_the_focus_as_constant(multi_hot):
    similarity, relevance, selection = multi_hot(0, 6, 8)
    weights = torch.where(relevance > 0, (-similarity).sigmoid(), (similarity.sigmoid() - 0.05))
    weights = weights.clamp(min=0) ** torch.where(relevance > 0, 1.0, 4.0)
    log_rest = (1 - (similarity.sigmoid() - 0.05).clamp(min=0)).log()
    cost = -weights.detach() * torch.where(relevance > 0, similarity.sigmoid().log(), log_rest)
    (expected,) = torch.autograd.grad(torch.where(selection, cost, 0).sum(), similarity)
    assert AsymmetricLoss().focus_has_gradient
    AsymmetricLoss(focus_has_gradient=False)(similarity, relevance, selection).backward()
    torch.testing.assert_close(similarity.grad, expected)
