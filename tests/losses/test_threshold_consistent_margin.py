"""The threshold-consistent margin against loops over pairs, and pytorch-metric-learning."""

import pytest
import torch
from pytorch_metric_learning import losses as peers
from torch.nn.functional import normalize

from ranklight.losses import ThresholdConsistentMarginLoss
from ranklight.pairs import Objective


def mean(costs):
    return sum(costs) / max(1, len(costs))


def equation(rows, near=0.9, far=0.5, near_weight=1.0, far_weight=1.0):
    pull = [near - s for positives, _ in rows for s in positives if s <= near]
    push = [s - far for _, negatives in rows for s in negatives if s >= far]
    return near_weight * mean(pull) + far_weight * mean(push)


@pytest.mark.parametrize("settings", [(0.9, 0.5, 1.0, 1.0), (0.5, -0.25, 2.0, 0.5)])
@pytest.mark.parametrize("spread", [1.0, 1e3])
def test_is_its_equation(compared, sides, settings, spread):
    for seed in range(30):
        inputs = compared(seed, 1 + seed % 6, 1 + seed % 8, 2, spread, seed % 2 == 0)
        loss = ThresholdConsistentMarginLoss(*settings)(*inputs)
        assert loss.item() == pytest.approx(equation(sides(*inputs), *settings), rel=1e-9)


def test_defaults():
    loss = ThresholdConsistentMarginLoss()
    assert (loss.positive_margin, loss.negative_margin) == (0.9, 0.5)
    assert (loss.positive_weight, loss.negative_weight) == (1.0, 1.0)


def test_peer():
    torch.manual_seed(0)
    z = torch.randn(24, 4, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(5, (24,))
    ours = Objective(ThresholdConsistentMarginLoss(0.8, 0.2, 0.5, 2.0))(normalize(z), labels)
    theirs = peers.ThresholdConsistentMarginLoss(0.5, 2.0, 0.8, 0.2)(z, labels)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)
    ours_grad, theirs_grad = (torch.autograd.grad(loss, z)[0] for loss in (ours, theirs))
    torch.testing.assert_close(ours_grad, theirs_grad, rtol=1e-6, atol=1e-9)
