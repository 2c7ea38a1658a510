"""Proxy-anchor against loops over proxies, and against pytorch-metric-learning."""

import math

import pytest
import torch
from pytorch_metric_learning import losses as peers

from ranklight.losses import ProxyAnchorLoss
from ranklight.pairs import ClassCenters, Objective


def equation(similarity, relevance, selection, alpha=32.0, margin=0.1):
    n, m = similarity.shape
    near, far = [], []
    for j in range(m):
        chosen = [i for i in range(n) if selection[i, j]]
        own = [similarity[i, j].item() for i in chosen if relevance[i, j] > 0]
        other = [similarity[i, j].item() for i in chosen if relevance[i, j] <= 0]
        far.append(math.log1p(sum(math.exp(alpha * (s + margin)) for s in other)))
        if own:
            near.append(math.log1p(sum(math.exp(-alpha * (s - margin)) for s in own)))
    return sum(near) / max(1, len(near)) + sum(far) / len(far)


def test_is_its_equation(compared):
    assert (ProxyAnchorLoss().alpha, ProxyAnchorLoss().margin) == (32.0, 0.1)
    for seed in range(30):
        inputs = compared(seed, 1 + seed % 6, 1 + seed % 8, ties=seed % 2 == 0)
        assert ProxyAnchorLoss()(*inputs).item() == pytest.approx(equation(*inputs), rel=1e-9)


def test_scores_far_apart_stay_finite(compared):
    similarity, relevance, selection = compared(0, 6, 8, spread=1e3)
    loss = ProxyAnchorLoss()(similarity, relevance, selection)
    loss.backward()
    assert loss.isfinite()
    assert similarity.grad.isfinite().all()


def test_peer():
    torch.manual_seed(0)
    z = torch.nn.functional.normalize(torch.randn(24, 8, dtype=torch.float64)).requires_grad_()
    labels = torch.randint(5, (24,))
    peer = peers.ProxyAnchorLoss(num_classes=7, embedding_size=8)
    centers = ClassCenters(7, 8).double()
    centers.centers.data.copy_(peer.proxies)
    ours, theirs = Objective(ProxyAnchorLoss(), references=centers)(z, labels), peer(z, labels)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)
    ours.backward()
    theirs.backward()
    torch.testing.assert_close(centers.centers.grad, peer.proxies.grad, rtol=1e-6, atol=1e-9)
