"""Proxy-NCA and Proxy-NCA++ against loops over anchors, and pytorch-metric-learning."""

import math

import pytest
import torch
import torch.nn.functional as F
from pytorch_metric_learning import losses as peers

from ranklight.losses import NormalizedSoftmaxLoss, ProxyNCALoss
from ranklight.pairs import ClassCenters, Objective


def equation(rows, own_in_sum, temperature=1 / 9):
    costs = []
    for positives, negatives in rows:
        summed = positives + negatives if own_in_sum else negatives
        if not positives or not summed:
            continue
        own, others = (
            [-(2 - 2 * s) / temperature for s in scores] for scores in (positives, summed)
        )
        log_sum = max(others) + math.log(sum(math.exp(x - max(others)) for x in others))
        costs.append(sum(log_sum - x for x in own) / len(own))
    return sum(costs) / max(1, len(costs))


@pytest.mark.parametrize("own_in_sum", [True, False])
def test_is_its_equation(own_in_sum, compared, sides):
    assert (ProxyNCALoss().temperature, ProxyNCALoss().own_in_sum) == (1 / 9, True)
    for seed in range(30):
        inputs = compared(seed, 1 + seed % 6, 1 + seed % 8, ties=seed % 2 == 0)
        loss = ProxyNCALoss(own_in_sum=own_in_sum)
        expected = equation(sides(*inputs), own_in_sum)
        assert loss(*inputs).item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_without_the_own_class_in_the_sum_its_gradient_is_autograds(compared):
    similarity, relevance, selection = compared(3, 5, 6)
    loss = ProxyNCALoss(own_in_sum=False)
    assert torch.autograd.gradcheck(lambda s: loss(s, relevance, selection), (similarity,))


def test_is_a_normalised_softmax(compared):
    for seed in range(5):
        inputs = compared(seed, 5, 6)
        other = NormalizedSoftmaxLoss(temperature=1 / 18)
        torch.testing.assert_close(ProxyNCALoss()(*inputs), other(*inputs))


def test_peer():
    torch.manual_seed(0)
    z = F.normalize(torch.randn(24, 8, dtype=torch.float64)).requires_grad_()
    labels = torch.randint(5, (24,))
    peer = peers.ProxyNCALoss(num_classes=7, embedding_size=8, softmax_scale=9).double()
    centers = ClassCenters(7, 8).double()
    centers.centers.data.copy_(peer.proxies)
    ours, theirs = Objective(ProxyNCALoss(), references=centers)(z, labels), peer(z, labels)
    torch.testing.assert_close(ours, theirs)
    ours.backward()
    theirs.backward()
    torch.testing.assert_close(centers.centers.grad, peer.proxies.grad)
