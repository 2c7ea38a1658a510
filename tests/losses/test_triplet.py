"""The triplet loss against a loop over triplets, and against pytorch-metric-learning."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning import distances
from pytorch_metric_learning import losses as peers

from ranklight.kernels import triplet_hinge
from ranklight.losses import TripletLoss
from ranklight.miners import Hardest, SemiHard
from ranklight.pairs import Objective

AVERAGES = ["active", "all", "pairs"]


def cost(better, worse, margin=0.2, soft=False):
    gap = (2 - 2 * better) - (2 - 2 * worse)
    if soft:
        return gap + math.log1p(math.exp(-gap)) if gap > 0 else math.log1p(math.exp(gap))
    return max(0.0, gap + margin)


def equation(similarity, relevance, selection, average="active", **options):
    costs, betters = [], set()
    rows = zip(similarity.tolist(), relevance.tolist(), selection.tolist(), strict=True)
    for a, (s, r, chosen) in enumerate(rows):
        for i in range(len(s)):
            for j in range(len(s)):
                if chosen[i] and chosen[j] and r[i] > r[j]:
                    costs.append(cost(s[i], s[j], **options))
                    betters.add((a, i))
    active = sum(c > 0 for c in costs)
    divisor = {"active": active, "all": len(costs), "pairs": len(betters)}[average]
    return sum(costs) / max(1, divisor)


def equation_of_opponents(similarity, opponents, average, **options):
    costs = [
        cost(s[i], s[j], **options)
        for s, row in zip(similarity.tolist(), opponents.tolist(), strict=True)
        for i, j in enumerate(row)
        if j >= 0
    ]
    active = sum(c > 0 for c in costs)
    return sum(costs) / max(1, active if average == "active" else len(costs))


def test_defaults_are_the_two_head_paper_s_margin():
    loss = TripletLoss()
    assert (loss.margin, loss.average, loss.soft_margin) == (0.2, "active", False)


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 2**31),
    st.integers(1, 5),
    st.integers(1, 9),
    st.sampled_from([1, 2, 3, 9]),
    st.sampled_from([1.0, 1e3]),
    st.booleans(),
    st.sampled_from(AVERAGES),
)
def test_is_its_equation(compared, seed, anchors, references, levels, spread, ties, average):
    inputs = compared(seed, anchors, references, levels, spread, ties)
    loss = TripletLoss(margin=0.25, average=average)
    expected = equation(*inputs, average, margin=0.25)
    assert loss(*inputs).item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([2, 3, 9]), st.sampled_from(AVERAGES))
def test_soft_margin_is_its_equation(compared, seed, levels, average):
    inputs = compared(seed, 4, 7, levels)
    expected = equation(*inputs, average, soft=True)
    assert TripletLoss(average=average, soft_margin=True)(*inputs).item() == pytest.approx(expected)


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("miner", [SemiHard(), SemiHard(margin=0.5), Hardest()])
def test_chosen_opponents_are_their_equation(compared, average, soft, miner):
    for seed in range(5):
        similarity, relevance, selection = compared(seed, 5, 9)
        opponents = miner(similarity.detach(), relevance, selection)
        loss = TripletLoss(0.2, average, soft)(similarity, relevance, opponents)
        expected = equation_of_opponents(similarity, opponents, average, soft=soft)
        assert loss.item() == pytest.approx(expected)


def test_a_margin_reached_exactly_is_not_active():
    similarity = torch.tensor([[0.75, 0.5, 0.25]])
    relevance, selection = torch.tensor([[1.0, 0.0, 0.0]]), torch.ones(1, 3, dtype=torch.bool)
    assert TripletLoss(margin=0.5)(similarity, relevance, selection).item() == 0
    assert TripletLoss(margin=0.625)(similarity, relevance, selection).item() == 0.125


@pytest.mark.parametrize("levels", [2, 5])
def test_shapes_that_depend_on_no_value_give_the_same(compared, levels, monkeypatch):
    results = []
    for eager in (triplet_hinge.eager_on_cpu, lambda tensor: False):
        monkeypatch.setattr(triplet_hinge, "eager_on_cpu", eager)
        for dtype in (torch.float32, torch.float64):
            similarity, relevance, selection = compared(3, 6, 11, levels)
            loss = TripletLoss()(similarity.to(dtype), relevance, selection)
            results.append(torch.stack([loss.double(), *_gradient(loss, similarity).flatten()]))
    for result in results:
        torch.testing.assert_close(result, results[-1], rtol=1e-6, atol=1e-6)


def test_float64_has_a_margin_of_float64(compared):
    inputs = compared(0, 5, 9)
    expected = equation(*inputs, margin=0.2)
    assert TripletLoss(margin=0.2)(*inputs).item() == pytest.approx(expected, rel=1e-14)


def test_embeddings_far_from_the_origin_keep_their_active_triplets():
    torch.manual_seed(0)
    z, labels = torch.randn(32, 4), torch.arange(32) // 4
    near, far = (Objective(TripletLoss())(x, labels) for x in (z, 256 + z))
    torch.testing.assert_close(far, near, rtol=1e-3, atol=0)


@pytest.mark.parametrize("soft", [False, True])
def test_gradient(compared, soft):
    loss = TripletLoss(soft_margin=soft)
    for levels in (2, 4):
        similarity, relevance, selection = compared(1, 5, 6, levels)
        assert torch.autograd.gradcheck(
            lambda s, r=relevance, m=selection: loss(s, r, m), similarity
        )


def test_refuses_to_be_differentiated_twice(compared):
    similarity, relevance, selection = compared(1, 5, 6)
    with pytest.raises(RuntimeError, match="differentiable once"):
        TripletLoss()(similarity, relevance, selection).backward(create_graph=True)


@pytest.mark.parametrize("per_class", [2, 5])
@pytest.mark.parametrize("soft", [False, True])
def test_peer(per_class, soft):
    torch.manual_seed(0)
    z = torch.randn(40, 8, dtype=torch.float64, requires_grad=True)
    labels = torch.arange(40) // per_class
    peer = peers.TripletMarginLoss(
        0.0 if soft else 0.2, smooth_loss=soft, distance=distances.LpDistance(power=2)
    )
    ours = Objective(TripletLoss(soft_margin=soft))(torch.nn.functional.normalize(z), labels)
    theirs = peer(z, labels)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)
    torch.testing.assert_close(_gradient(ours, z), _gradient(theirs, z), rtol=1e-6, atol=1e-9)


def _gradient(loss, tensor):
    return torch.autograd.grad(loss, tensor)[0]
