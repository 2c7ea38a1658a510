"""SupAP against loops over positives, and as a bound on average precision."""

import math

import pytest
import torch
from sklearn.metrics import average_precision_score

from ranklight.losses import SupAPLoss


def sigmoid(x):
    return 1 / (1 + math.exp(-x)) if x > 0 else math.exp(x) / (1 + math.exp(x))


def step(x, tau, rho, delta):
    if x <= 0:
        return sigmoid(x / tau)
    if x <= delta:
        return sigmoid(x / tau) + 0.5
    return rho * (x - delta) + sigmoid(delta / tau) + 0.5


def equation(rows, tau=0.01, rho=100.0, delta=0.05):
    costs = []
    for positives, negatives in rows:
        precision = 0.0
        for i, own in enumerate(positives):
            ahead = 1 + sum(other >= own for j, other in enumerate(positives) if j != i)
            precision += ahead / (ahead + sum(step(n - own, tau, rho, delta) for n in negatives))
        if positives:
            costs.append(1 - precision / len(positives))
    return sum(costs) / max(1, len(costs))


@pytest.mark.parametrize("settings", [(0.01, 100.0, 0.05), (0.3, 2.0, 0.5)])
@pytest.mark.parametrize("spread", [1.0, 1e3])
def test_is_its_equation(compared, sides, settings, spread):
    loss = SupAPLoss()
    assert (loss.temperature, loss.slope, loss.linear_from) == (0.01, 100.0, 0.05)
    for seed in range(20):
        inputs = compared(seed, 1 + seed % 6, 1 + seed % 8, 2, spread, seed % 2 == 0)
        expected = equation(sides(*inputs), *settings)
        assert SupAPLoss(*settings)(*inputs).item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_gradient(compared):
    loss = SupAPLoss(0.2, 3.0, 0.3)
    similarity, relevance, selection = compared(1, 5, 7)
    assert torch.autograd.gradcheck(lambda s: loss(s, relevance, selection), similarity)


def test_is_a_bound_of_average_precision_whose_gradient_stays_where_a_negative_is_far_ahead():
    torch.manual_seed(0)
    similarity, relevance = torch.rand(6, 30).double(), (torch.rand(6, 30) < 0.3).double()
    rows = zip(relevance.tolist(), similarity.tolist(), strict=True)
    precision = sum(average_precision_score(r, s) for r, s in rows) / 6
    assert SupAPLoss()(similarity, relevance, relevance >= 0) > 1 - precision
    far = torch.tensor([[-0.9, 0.9]], requires_grad=True)
    relevance = torch.tensor([[1.0, 0.0]])
    SupAPLoss()(far, relevance, relevance >= 0).backward()
    assert far.grad[0, 1] > 1e-3
