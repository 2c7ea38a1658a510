"""Smooth-AP against loops over positives, and its limit, average precision."""

import math

import pytest
import torch
from sklearn.metrics import average_precision_score

from ranklight.losses import SmoothAPLoss


def sigmoid(x):
    return 1 / (1 + math.exp(-x)) if x > 0 else math.exp(x) / (1 + math.exp(x))


def equation(similarity, relevance, selection, temperature=0.01):
    costs = []
    for s, r, chosen in zip(
        similarity.tolist(), relevance.tolist(), selection.tolist(), strict=True
    ):
        known = [i for i in range(len(s)) if chosen[i]]
        positives = [i for i in known if r[i] > 0]

        def rank(i, among, s=s):
            return 1 + sum(sigmoid((s[j] - s[i]) / temperature) for j in among if j != i)

        if positives:
            precision = sum(rank(i, positives) / rank(i, known) for i in positives)
            costs.append(1 - precision / len(positives))
    return sum(costs) / max(1, len(costs))


@pytest.mark.parametrize("temperature", [0.01, 0.5])
@pytest.mark.parametrize("spread", [1.0, 1e3])
def test_is_its_equation(compared, temperature, spread):
    assert SmoothAPLoss().temperature == 0.01
    for seed in range(20):
        inputs = compared(seed, 1 + seed % 6, 1 + seed % 8, 2, spread, seed % 2 == 0)
        loss = SmoothAPLoss(temperature)(*inputs)
        expected = equation(*inputs, temperature)
        assert loss.item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_gradient(compared):
    loss = SmoothAPLoss(0.2)
    similarity, relevance, selection = compared(1, 5, 7)
    assert torch.autograd.gradcheck(lambda s: loss(s, relevance, selection), similarity)


def test_is_average_precision_when_sharp():
    torch.manual_seed(0)
    similarity, relevance = torch.rand(6, 30).double(), (torch.rand(6, 30) < 0.3).double()
    loss = SmoothAPLoss(1e-6)(similarity, relevance, torch.ones(6, 30).bool())
    rows = zip(relevance.tolist(), similarity.tolist(), strict=True)
    precision = sum(average_precision_score(r, s) for r, s in rows) / 6
    assert loss.item() == pytest.approx(1 - precision, rel=1e-4)
