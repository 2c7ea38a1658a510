"""The circle loss against loops over pairs, and against pytorch-metric-learning."""

import math

import pytest
import torch
from pytorch_metric_learning import losses as peers
from torch.nn.functional import normalize

from ranklight.losses import CircleLoss
from ranklight.pairs import Objective


def row(positives, negatives, m, gamma):
    """Σ_j Σ_k e^{γ α⁻ (s_n − m) − γ α⁺ (s_p − (1 − m))}, the terms and their weights."""
    return [
        math.exp(gamma * (max(0.0, n + m) * (n - m) - max(0.0, 1 + m - p) * (p - (1 - m))))
        for n in negatives
        for p in positives
    ]


def equation(rows, m=0.4, gamma=80.0):
    costs = [math.log1p(sum(row(p, n, m, gamma))) for p, n in rows if p and n]
    return sum(costs) / max(1, len(costs))


@pytest.mark.parametrize(("margin", "scale"), [(0.4, 80.0), (0.25, 4.0)])
def test_is_its_equation(compared, sides, margin, scale):
    assert (CircleLoss().margin, CircleLoss().scale) == (0.4, 80.0)
    for seed in range(30):
        inputs = compared(seed, 1 + seed % 6, 1 + seed % 8, 2, 0.5, seed % 2 == 0)
        expected = equation(sides(*inputs), margin, scale)
        assert CircleLoss(margin, scale)(*inputs).item() == pytest.approx(expected, rel=1e-9)


def test_the_weights_are_constants():
    positive, negative, m, gamma = 0.5, 0.3, 0.25, 4.0
    similarity = torch.tensor([[positive, negative]], dtype=torch.float64, requires_grad=True)
    relevance = torch.tensor([[1.0, 0.0]])
    CircleLoss(m, gamma)(similarity, relevance, relevance >= 0).backward()
    (term,) = row([positive], [negative], m, gamma)
    share = term / (1 + term)
    expected = [-gamma * (1 + m - positive) * share, gamma * (negative + m) * share]
    assert similarity.grad[0].tolist() == pytest.approx(expected)


def test_scores_far_apart_stay_finite(compared):
    similarity, relevance, selection = compared(0, 6, 8, spread=1e3)
    loss = CircleLoss()(similarity, relevance, selection)
    loss.backward()
    assert loss.isfinite()
    assert similarity.grad.isfinite().all()


def test_peer():
    torch.manual_seed(0)
    z = torch.randn(24, 4, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(5, (24,))
    ours = Objective(CircleLoss(0.3, 20.0))(normalize(z), labels)
    theirs = peers.CircleLoss(m=0.3, gamma=20.0)(z, labels)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)
    ours_grad, theirs_grad = (torch.autograd.grad(loss, z)[0] for loss in (ours, theirs))
    torch.testing.assert_close(ours_grad, theirs_grad, rtol=1e-6, atol=1e-9)
