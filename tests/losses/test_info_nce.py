"""InfoNCE against loops over positive pairs, and against pytorch-metric-learning."""

import math

import pytest
import torch
from pytorch_metric_learning import losses as peers
from torch.nn.functional import normalize

from ranklight.losses import InfoNCELoss, SupConLoss
from ranklight.pairs import Objective


def equation(rows, temperature=0.1):
    costs = []
    for positives, negatives in rows:
        for p in positives:
            rest = sum(math.exp((n - p) / temperature) for n in negatives)
            costs.append(math.log1p(rest))
    return sum(costs) / max(1, len(costs))


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_is_its_equation(compared, sides, temperature):
    assert InfoNCELoss().temperature == 0.1
    for seed in range(30):
        inputs = compared(seed, 1 + seed % 6, 1 + seed % 8, 2, ties=seed % 2 == 0)
        loss = InfoNCELoss(temperature)(*inputs)
        assert loss.item() == pytest.approx(equation(sides(*inputs), temperature), rel=1e-9)


def test_scores_far_apart_stay_finite(compared):
    similarity, relevance, selection = compared(0, 6, 8, spread=1e3)
    loss = InfoNCELoss()(similarity, relevance, selection)
    loss.backward()
    assert loss.isfinite()
    assert similarity.grad.isfinite().all()


def two_views(images=12, seed=0):
    torch.manual_seed(seed)
    z = torch.randn(images, 4, dtype=torch.float64)
    views = [z + 0.3 * torch.randn(images, 4, dtype=torch.float64) for _ in range(2)]
    return torch.cat(views).requires_grad_(), torch.arange(images).repeat(2)


@pytest.mark.parametrize(
    "labels", [torch.arange(12).repeat(2), torch.arange(24) // 4, torch.arange(24) // 23]
)
def test_peer(labels):
    z, _ = two_views()
    ours = Objective(InfoNCELoss(0.2))(normalize(z), labels)
    theirs = peers.NTXentLoss(0.2)(z, labels)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)
    ours_grad, theirs_grad = (torch.autograd.grad(loss, z)[0] for loss in (ours, theirs))
    torch.testing.assert_close(ours_grad, theirs_grad, rtol=1e-6, atol=1e-9)


def test_of_two_views_it_is_supervised_contrastive_and_of_more_it_is_less():
    z, labels = two_views()
    ours, with_positives = Objective(InfoNCELoss(0.2)), Objective(SupConLoss(0.2))
    torch.testing.assert_close(ours(normalize(z), labels), with_positives(normalize(z), labels))
    assert ours(normalize(z), labels // 4) < with_positives(normalize(z), labels // 4)
