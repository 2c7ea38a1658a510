"""The hinge ranking loss against its double sum, and torch's."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ranklight.losses import HingeRankingLoss


def equation(rows, margin=1.0, average="anchors"):
    total = 0.0
    for positives, negatives in rows:
        cost = sum(max(0.0, margin + u - v) for u in negatives for v in positives)
        pairs = len(positives) * len(negatives)
        total += cost / max(pairs, 1) if average == "pairs" else cost
    return total / len(rows)


def slopes(similarity, relevance, selection, margin=1.0):
    grad = torch.zeros_like(similarity)
    for i, row in enumerate(similarity.tolist()):
        for v, score in enumerate(row):
            for u, other in enumerate(row):
                ordered = selection[i, v] and selection[i, u] and relevance[i, v] > relevance[i, u]
                if ordered and margin + other - score > 0:
                    grad[i, u] += 1
                    grad[i, v] -= 1
    return grad / len(similarity)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**31),
    st.integers(1, 6),
    st.integers(1, 9),
    st.sampled_from([1.0, 1e3]),
    st.booleans(),
    st.sampled_from(["anchors", "pairs"]),
)
def test_is_its_equation(multi_hot, sides, seed, rows, labels, spread, ties, average):
    inputs = multi_hot(seed, rows, labels, spread, ties)
    loss = HingeRankingLoss(average=average)(*inputs).item()
    assert loss == pytest.approx(equation(sides(*inputs), average=average), rel=1e-9, abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([torch.float32, torch.float64]))
def test_pairs_exactly_at_the_margin_are_inactive(multi_hot, seed, dtype):
    similarity, relevance, selection = multi_hot(seed, 5, 8, ties=True)
    similarity = similarity.detach().to(dtype).requires_grad_()
    HingeRankingLoss()(similarity, relevance.to(dtype), selection).backward()
    torch.testing.assert_close(
        similarity.grad, slopes(similarity.detach(), relevance, selection).to(dtype)
    )


def test_averages_by_hand():
    similarity = torch.tensor([[1.0, 0.5, 0.25], [0.0, 3.0, 9.0]])
    relevance = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    selection = torch.tensor([[True, True, True], [True, True, False]])
    inputs = similarity, relevance, selection
    assert HingeRankingLoss().average == "anchors"
    assert HingeRankingLoss()(*inputs).item() == (0.5 + 0.25 + 4) / 2
    assert HingeRankingLoss(average="pairs")(*inputs).item() == ((0.5 + 0.25) / 2 + 4) / 2


def test_the_margin_is_1_and_moves_the_kink(multi_hot, sides):
    assert HingeRankingLoss().margin == 1
    inputs = multi_hot(0, 6, 8)
    loss = HingeRankingLoss(margin=0.3)(*inputs).item()
    assert loss == pytest.approx(equation(sides(*inputs), margin=0.3))


@pytest.mark.parametrize("average", ["anchors", "pairs"])
def test_gradient(multi_hot, average):
    similarity, relevance, selection = multi_hot(0, 5, 6)
    loss = HingeRankingLoss(average=average)
    assert torch.autograd.gradcheck(lambda s: loss(s, relevance, selection), (similarity,))


def test_rows_without_a_pair_cost_nothing(multi_hot):
    similarity, relevance, selection = multi_hot(1, 5, 6)
    HingeRankingLoss()(similarity, relevance, selection).backward()
    assert (similarity.grad[:3] == 0).all()
    assert (similarity.grad[3:] != 0).any()
    assert HingeRankingLoss()(similarity[:3], relevance[:3], selection[:3]).item() == 0


def test_is_torchs_multilabel_margin_loss_times_the_number_of_labels(multi_hot):
    similarity, relevance, _ = multi_hot(2, 6, 50)
    target = torch.full((6, 50), -1)
    for row, relevances in zip(target, relevance, strict=True):
        columns = relevances.nonzero().squeeze(1)
        row[: len(columns)] = columns
    loss = HingeRankingLoss()(similarity, relevance, torch.ones(6, 50, dtype=torch.bool))
    peer = torch.nn.MultiLabelMarginLoss()(similarity, target) * 50
    torch.testing.assert_close(loss, peer)
    grads = [torch.autograd.grad(value, similarity)[0] for value in (loss, peer)]
    torch.testing.assert_close(*grads)


def test_an_offset_of_the_scores_costs_no_accuracy():
    similarity = torch.tensor([[1e4, 1e4 + 0.25, 1e4 - 0.5]])
    relevance = torch.tensor([[1.0, 0.0, 0.0]])
    loss = HingeRankingLoss()(similarity, relevance, torch.ones(1, 3, dtype=torch.bool))
    assert loss.item() == pytest.approx(1.25 + 0.5, abs=1e-5)
