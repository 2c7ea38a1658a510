"""SupCon against loops over positives, and against pytorch-metric-learning."""

import math

import pytest
import torch
from pytorch_metric_learning import losses as peers

from ranklight.losses import SupConLoss
from ranklight.pairs import Objective


def equation(similarity, relevance, selection, temperature=0.07):
    costs = []
    for s, r, chosen in zip(
        similarity.tolist(), relevance.tolist(), selection.tolist(), strict=True
    ):
        known = [(x / temperature, y > 0) for x, y, c in zip(s, r, chosen, strict=True) if c]
        positives = [x for x, same in known if same]
        if positives:
            largest = max(x for x, _ in known)
            total = largest + math.log(sum(math.exp(x - largest) for x, _ in known))
            costs.append(sum(total - x for x in positives) / len(positives))
    return sum(costs) / max(1, len(costs))


@pytest.mark.parametrize("spread", [1.0, 1e3])
def test_is_its_equation(compared, spread):
    assert SupConLoss().temperature == 0.07
    for seed in range(30):
        inputs = compared(seed, 1 + seed % 6, 1 + seed % 8, 2, spread, seed % 2 == 0)
        assert SupConLoss()(*inputs).item() == pytest.approx(equation(*inputs), rel=1e-9, abs=1e-12)


def test_peer():
    torch.manual_seed(0)
    z = torch.randn(24, 8, dtype=torch.float64, requires_grad=True)
    labels = torch.arange(24) // 3
    ours = Objective(SupConLoss(0.1))(torch.nn.functional.normalize(z), labels)
    theirs = peers.SupConLoss(0.1)(z, labels)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)
    ours_grad, theirs_grad = (torch.autograd.grad(loss, z)[0] for loss in (ours, theirs))
    torch.testing.assert_close(ours_grad, theirs_grad, rtol=1e-6, atol=1e-9)
