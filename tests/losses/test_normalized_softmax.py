"""Normalised softmax against loops over anchors, and against pytorch-metric-learning."""

import math

import pytest
import torch
from pytorch_metric_learning import losses as peers

from ranklight.losses import NormalizedSoftmaxLoss
from ranklight.pairs import ClassCenters, Objective


def equation(rows, temperature=0.05):
    costs = []
    for positives, negatives in rows:
        if not positives:
            continue
        total = sum(math.exp(s / temperature) for s in positives + negatives)
        picked = [-math.log(math.exp(s / temperature) / total) for s in positives]
        costs.append(sum(picked) / len(picked))
    return sum(costs) / max(1, len(costs))


def test_is_its_equation(compared, sides):
    assert NormalizedSoftmaxLoss().temperature == 0.05
    for seed in range(30):
        inputs = compared(seed, 1 + seed % 6, 1 + seed % 8, ties=seed % 2 == 0)
        expected = equation(sides(*inputs))
        assert NormalizedSoftmaxLoss()(*inputs).item() == pytest.approx(expected, rel=1e-9)


def test_scores_far_apart_stay_finite(compared):
    similarity, relevance, selection = compared(0, 6, 8, spread=1e3)
    loss = NormalizedSoftmaxLoss()(similarity, relevance, selection)
    loss.backward()
    assert loss.isfinite()
    assert similarity.grad.isfinite().all()


def test_peer():
    torch.manual_seed(0)
    z = torch.nn.functional.normalize(torch.randn(24, 8, dtype=torch.float64)).requires_grad_()
    labels = torch.randint(5, (24,))
    peer = peers.NormalizedSoftmaxLoss(num_classes=7, embedding_size=8).double()
    centers = ClassCenters(7, 8).double()
    centers.centers.data.copy_(peer.W.T)
    ours = Objective(NormalizedSoftmaxLoss(), references=centers)(z, labels)
    theirs = peer(z, labels)
    torch.testing.assert_close(ours, theirs)
    ours.backward()
    theirs.backward()
    torch.testing.assert_close(centers.centers.grad, peer.W.grad.T)
