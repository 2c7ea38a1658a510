"""CosFace against loops over anchors, and against pytorch-metric-learning."""

import math

import pytest
import torch
from pytorch_metric_learning import losses as peers

from ranklight.losses import CosFaceLoss
from ranklight.pairs import ClassCenters, Objective


def equation(rows, margin=0.35, scale=64.0):
    costs = []
    for positives, negatives in rows:
        if not positives:
            continue
        own = [scale * (s - margin) for s in positives]
        logits = own + [scale * s for s in negatives]
        largest = max(logits)
        log_sum = largest + math.log(sum(math.exp(x - largest) for x in logits))
        costs.append(sum(log_sum - x for x in own) / len(own))
    return sum(costs) / max(1, len(costs))


def test_is_its_equation(compared, sides):
    assert (CosFaceLoss().margin, CosFaceLoss().scale) == (0.35, 64.0)
    for seed in range(30):
        inputs = compared(seed, 1 + seed % 6, 1 + seed % 8, ties=seed % 2 == 0)
        expected = equation(sides(*inputs))
        assert CosFaceLoss()(*inputs).item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("settings", [{}, {"margin": 0.4, "scale": 30.0}])
def test_peer(settings):
    torch.manual_seed(0)
    z = torch.nn.functional.normalize(torch.randn(24, 8, dtype=torch.float64)).requires_grad_()
    labels = torch.randint(5, (24,))
    peer = peers.CosFaceLoss(num_classes=7, embedding_size=8, **settings).double()
    centers = ClassCenters(7, 8).double()
    centers.centers.data.copy_(peer.W.T)
    ours = Objective(CosFaceLoss(**settings), references=centers)(z, labels)
    theirs = peer(z, labels)
    torch.testing.assert_close(ours, theirs)
    ours.backward()
    theirs.backward()
    torch.testing.assert_close(centers.centers.grad, peer.W.grad.T)
