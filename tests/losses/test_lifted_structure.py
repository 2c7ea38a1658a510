"""The lifted structure loss against loops over anchors, and against pytorch-metric-learning."""

import math

import pytest
import torch
from pytorch_metric_learning import distances
from pytorch_metric_learning import losses as peers

from ranklight.losses import LiftedStructureLoss
from ranklight.pairs import Objective


def distance(s, epsilon=1e-6):
    return math.sqrt(max(0.0, 2 - 2 * s) + epsilon)


def equation(rows, margin=1.0):
    costs = []
    for positives, negatives in rows:
        if positives and negatives:
            farthest = math.log(sum(math.exp(distance(s)) for s in positives))
            closest = math.log(sum(math.exp(margin - distance(s)) for s in negatives))
            costs.append(max(0.0, farthest + closest))
    return sum(costs) / max(1, len(costs))


@pytest.mark.parametrize("margin", [1.0, 0.2])
@pytest.mark.parametrize("spread", [1.0, 30.0])
def test_is_its_equation(compared, sides, margin, spread):
    assert LiftedStructureLoss().margin == 1.0
    for seed in range(30):
        inputs = compared(seed, 1 + seed % 6, 1 + seed % 8, 2, spread, seed % 2 == 0)
        expected = equation(sides(*inputs), margin)
        assert LiftedStructureLoss(margin)(*inputs).item() == pytest.approx(expected, rel=1e-9)


def test_duplicates_have_a_bounded_gradient():
    z = torch.zeros(4, 3, requires_grad=True)
    Objective(LiftedStructureLoss())(z, torch.tensor([0, 0, 1, 1])).backward()
    assert (z.grad == 0).all()


@pytest.mark.parametrize("margin", [1.0, -2.0])
def test_peer(margin):
    torch.manual_seed(0)
    z = torch.randn(24, 4, dtype=torch.float64, requires_grad=True)
    labels = torch.arange(24) // 3
    peer = peers.GeneralizedLiftedStructureLoss(
        neg_margin=margin, distance=distances.LpDistance(normalize_embeddings=False)
    )
    ours, theirs = Objective(LiftedStructureLoss(margin, epsilon=0.0))(z, labels), peer(z, labels)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)
    ours_grad, theirs_grad = (torch.autograd.grad(loss, z)[0] for loss in (ours, theirs))
    torch.testing.assert_close(ours_grad, theirs_grad, rtol=1e-6, atol=1e-9)
