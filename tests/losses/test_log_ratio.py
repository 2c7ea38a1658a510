"""The log-ratio loss against a loop over triplets, written from the paper."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ranklight.losses import LogRatioLoss
from ranklight.pairs import LabelCloseness, Objective


def equation(similarity, relevance, selection, keep_ties=True):
    squares = []
    rows = zip(similarity.tolist(), relevance.tolist(), selection.tolist(), strict=True)
    for s, r, chosen in rows:
        distance = [math.sqrt(max(0.0, 2 - 2 * x) + 1e-6) for x in s]
        label_distance = [1 - x + 1e-6 for x in r]
        for i in range(len(s)):
            for j in range(i):
                if chosen[i] and chosen[j] and (keep_ties or r[i] != r[j]):
                    learnt = math.log(distance[i] / distance[j])
                    labelled = math.log(label_distance[i] / label_distance[j])
                    squares.append((learnt - labelled) ** 2)
    return sum(squares) / max(1, len(squares))


def test_defaults_keep_ties_as_the_released_code():
    loss = LogRatioLoss()
    assert (loss.keep_ties, loss.epsilon, loss.label_epsilon) == (True, 1e-6, 1e-6)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**31),
    st.integers(1, 5),
    st.integers(1, 9),
    st.sampled_from([1, 2, 4, 50]),
    st.sampled_from([1.0, 1e3]),
    st.booleans(),
    st.booleans(),
)
def test_is_its_equation(compared, seed, anchors, references, levels, spread, ties, keep_ties):
    inputs = compared(seed, anchors, references, levels, spread, ties)
    expected = equation(*inputs, keep_ties)
    assert LogRatioLoss(keep_ties)(*inputs).item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("keep_ties", [True, False])
def test_gradient(compared, keep_ties):
    loss = LogRatioLoss(keep_ties, epsilon=0.1)
    similarity, relevance, selection = compared(1, 5, 6, 4)
    inside = (similarity.detach() - 0.01).requires_grad_()
    assert torch.autograd.gradcheck(lambda s: loss(s, relevance, selection), inside)


@pytest.mark.parametrize("keep_ties", [True, False])
def test_duplicate_images_and_equal_labels_are_safe(keep_ties):
    similarity = torch.tensor([[1.0, 1.0, 0.5, 1 + 1e-6]], requires_grad=True)
    relevance, selection = torch.tensor([[1.0, 1.0, 0.2, -3.0]]), torch.ones(1, 4).bool()
    loss = LogRatioLoss(keep_ties)(similarity, relevance, selection)
    loss.backward()
    assert loss.isfinite()
    assert similarity.grad.isfinite().all()
    assert loss.item() == pytest.approx(equation(similarity, relevance, selection, keep_ties), 1e-3)


def test_all_tied_costs_exactly_nothing_without_ties():
    similarity = (1 - 1e3 * torch.rand(3, 8)).requires_grad_()
    loss = LogRatioLoss(keep_ties=False)(similarity, torch.zeros(3, 8), torch.ones(3, 8).bool())
    loss.backward()
    assert loss.item() == 0
    assert (similarity.grad == 0).all()


def test_distances_that_are_proportional_cost_nothing():
    distance = torch.tensor([[0.5, 1.0, 3.0, 7.0]], dtype=torch.float64)
    loss = LogRatioLoss()(1 - (9 * distance).square() / 2, 1 - distance, torch.ones(1, 4).bool())
    assert loss.item() < 1e-10


def test_exact_duplicates_have_no_gradient_of_rounding():
    torch.manual_seed(0)
    embeddings, labels = torch.randn(32, 64), torch.randn(32, 1)
    embeddings[5] = embeddings[3]
    objective = Objective(LogRatioLoss(), relevance=LabelCloseness())
    gradients = []
    for dtype in (torch.float32, torch.float64):
        leaf = embeddings.to(dtype, copy=True).requires_grad_()
        objective(leaf, labels).backward()
        gradients.append(leaf.grad.double())
    assert (gradients[0] - gradients[1]).norm() < 1e-5 * gradients[1].norm()
