"""NCA against loops over rows, and against pytorch-metric-learning."""

import math

import pytest
import torch
from pytorch_metric_learning import distances
from pytorch_metric_learning import losses as peers

from ranklight.losses import NCALoss
from ranklight.pairs import Objective


def equation(rows, scale=1.0):
    costs = []
    for positives, negatives in rows:
        near, far = (
            sum(math.exp(-scale * (2 - 2 * s)) for s in side) for side in (positives, negatives)
        )
        if positives:
            costs.append(-math.log(near / (near + far)))
    return sum(costs) / max(1, len(costs))


@pytest.mark.parametrize("scale", [1.0, 8.0])
def test_is_its_equation(compared, sides, scale):
    assert NCALoss().scale == 1.0
    for seed in range(30):
        inputs = compared(seed, 1 + seed % 6, 1 + seed % 8, 2, ties=seed % 2 == 0)
        loss = NCALoss(scale)(*inputs)
        assert loss.item() == pytest.approx(equation(sides(*inputs), scale), rel=1e-9, abs=1e-12)


def test_scores_far_apart_stay_finite(compared):
    similarity, relevance, selection = compared(0, 6, 8, spread=1e3)
    loss = NCALoss()(similarity, relevance, selection)
    loss.backward()
    assert loss.isfinite()
    assert similarity.grad.isfinite().all()


def test_peer():
    torch.manual_seed(0)
    z = torch.randn(24, 4, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(5, (24,))
    squared = distances.LpDistance(power=2, normalize_embeddings=False)
    ours = Objective(NCALoss(0.5))(z, labels)
    theirs = peers.NCALoss(softmax_scale=0.5, distance=squared)(z, labels)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)
    ours_grad, theirs_grad = (torch.autograd.grad(loss, z)[0] for loss in (ours, theirs))
    torch.testing.assert_close(ours_grad, theirs_grad, rtol=1e-6, atol=1e-9)
