"""The recall@k surrogate against loops over positives, and its limit, recall."""

import math

import pytest
import torch

from ranklight.losses import RecallAtKLoss


def sigmoid(x):
    return 1 / (1 + math.exp(-x)) if x > 0 else math.exp(x) / (1 + math.exp(x))


def equation(similarity, relevance, selection, ks=(1, 2, 4, 8, 16), tau=0.01, tau_k=1.0):
    costs = []
    for s, r, chosen in zip(
        similarity.tolist(), relevance.tolist(), selection.tolist(), strict=True
    ):
        known = [i for i in range(len(s)) if chosen[i]]
        positives = [i for i in known if r[i] > 0]
        ranks = [1 + sum(sigmoid((s[j] - s[i]) / tau) for j in known if j != i) for i in positives]
        if positives:
            recalls = [
                min(k, sum(sigmoid((k - rank) / tau_k) for rank in ranks)) / min(k, len(positives))
                for k in ks
            ]
            costs.append(1 - sum(recalls) / len(ks))
    return sum(costs) / max(1, len(costs))


@pytest.mark.parametrize(
    "settings", [{}, {"ks": (1, 3), "tau": 0.5, "tau_k": 0.1}, {"ks": (2,), "tau_k": 20.0}]
)
@pytest.mark.parametrize("spread", [1.0, 1e3])
def test_is_its_equation(compared, settings, spread):
    loss = RecallAtKLoss(
        settings.get("ks", (1, 2, 4, 8, 16)), settings.get("tau", 0.01), settings.get("tau_k", 1.0)
    )
    for seed in range(20):
        inputs = compared(seed, 1 + seed % 6, 1 + seed % 8, 2, spread, seed % 2 == 0)
        expected = equation(*inputs, **settings)
        assert loss(*inputs).item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_defaults():
    loss = RecallAtKLoss()
    assert (loss.ks, loss.temperature, loss.count_temperature) == ((1, 2, 4, 8, 16), 0.01, 1.0)


def test_hits_are_at_most_k():
    similarity, relevance = torch.zeros(1, 12).double(), torch.ones(1, 12)
    assert RecallAtKLoss([8])(similarity, relevance, relevance > 0).item() == 0


def test_is_recall_when_sharp():
    torch.manual_seed(0)
    similarity, relevance = torch.rand(6, 30).double(), (torch.rand(6, 30) < 0.3).double()
    loss = RecallAtKLoss([5], 1e-6, 1e-3)(similarity, relevance, torch.ones(6, 30).bool())
    first = similarity.topk(5).indices
    # A positive at place 5 counts half: σ(0).
    hits = relevance.gather(1, first)[:, :4].sum(1) + relevance.gather(1, first)[:, 4] / 2
    recall = hits / relevance.sum(1).clamp(max=5)
    assert loss.item() == pytest.approx(1 - recall.mean().item(), rel=1e-6)


def test_gradient(compared):
    loss = RecallAtKLoss([1, 2, 4], 0.2)
    similarity, relevance, selection = compared(1, 5, 9)
    assert torch.autograd.gradcheck(lambda s: loss(s, relevance, selection), similarity)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("ks", "error", "sentence"),
    [
        ([], ValueError, "needs one k or more"),
        ([1, 0], ValueError, r"ks\[1\] must be 1 to"),
        ([1.5], TypeError, r"ks\[0\] must be a whole number"),
    ],
)
def test_no_k_or_a_wrong_one_is_refused(ks, error, sentence):
    with pytest.raises(error, match=sentence):
        RecallAtKLoss(ks)
