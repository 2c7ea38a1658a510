"""FastAP against loops over bins, and against pytorch-metric-learning."""

import pytest
import torch
from pytorch_metric_learning import losses as peers
from sklearn.metrics import average_precision_score
from torch.nn.functional import normalize

from ranklight.losses import FastAPLoss
from ranklight.pairs import Objective


def histogram(similarities, bins):
    """Each distance counts in its two bins, by how near their middles are."""
    width = 4 / bins
    squared = [min(4.0, max(0.0, 2 - 2 * s)) for s in similarities]
    return [sum(max(0.0, 1 - abs(d - b * width) / width) for d in squared) for b in range(bins + 1)]


def equation(rows, bins=10):
    costs = []
    for positives, negatives in rows:
        if not positives:
            continue
        right, wrong = histogram(positives, bins), histogram(negatives, bins)
        precision = 0.0
        for b in range(bins + 1):
            if right[b] > 0:
                found = sum(right[: b + 1])
                precision += right[b] * found / (found + sum(wrong[: b + 1]))
        costs.append(1 - precision / len(positives))
    return sum(costs) / max(1, len(costs))


@pytest.mark.parametrize("bins", [10, 3, 1])
@pytest.mark.parametrize("spread", [1.0, 30.0])
def test_is_its_equation(compared, sides, bins, spread):
    assert FastAPLoss().bins == 10
    for seed in range(20):
        inputs = compared(seed, 1 + seed % 6, 1 + seed % 8, 2, spread, seed % 2 == 0)
        loss = FastAPLoss(bins)(*inputs)
        assert loss.item() == pytest.approx(equation(sides(*inputs), bins), rel=1e-9, abs=1e-12)


def test_is_average_precision_where_each_distance_is_the_middle_of_a_bin_of_its_own():
    torch.manual_seed(0)
    place = torch.stack([torch.randperm(51)[:30] for _ in range(6)])
    similarity, relevance = 1 - place.double() / 25, (torch.rand(6, 30) < 0.3).double()
    loss = FastAPLoss(50)(similarity, relevance, torch.ones(6, 30).bool())
    rows = zip(relevance.tolist(), similarity.tolist(), strict=True)
    precision = sum(average_precision_score(r, s) for r, s in rows) / 6
    assert loss.item() == pytest.approx(1 - precision)


@pytest.mark.parametrize("bins", [10, 4])
def test_peer(bins):
    torch.manual_seed(0)
    z = torch.randn(24, 4, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(6, (24,))
    ours, theirs = (
        Objective(FastAPLoss(bins))(normalize(z), labels),
        peers.FastAPLoss(bins)(z, labels),
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)
    ours_grad, theirs_grad = (torch.autograd.grad(loss, z)[0] for loss in (ours, theirs))
    torch.testing.assert_close(ours_grad, theirs_grad, rtol=1e-6, atol=1e-9)
