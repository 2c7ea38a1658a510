"""Multi-similarity against loops over pairs, and against pytorch-metric-learning."""

import math

import pytest
import torch
from pytorch_metric_learning import losses as peer_losses
from pytorch_metric_learning import miners as peer_miners

from ranklight.losses import MultiSimilarityLoss
from ranklight.miners import MultiSimilarityMiner
from ranklight.pairs import Objective


def log1p_sum_exp(exponents):
    largest = max([0.0, *exponents])
    return largest + math.log(math.exp(-largest) + sum(math.exp(x - largest) for x in exponents))


def equation(similarity, relevance, selection, alpha=2.0, beta=40.0, base=0.5):
    total = 0.0
    for s, r, chosen in zip(
        similarity.tolist(), relevance.tolist(), selection.tolist(), strict=True
    ):
        known = [(x, y > 0) for x, y, c in zip(s, r, chosen, strict=True) if c]
        total += log1p_sum_exp([-alpha * (x - base) for x, same in known if same]) / alpha
        total += log1p_sum_exp([beta * (x - base) for x, same in known if not same]) / beta
    return total / len(similarity)


@pytest.mark.parametrize("spread", [1.0, 1e3])
def test_is_its_equation(compared, spread):
    for seed in range(30):
        inputs = compared(seed, 1 + seed % 6, 1 + seed % 8, 2, spread, seed % 2 == 0)
        assert MultiSimilarityLoss()(*inputs).item() == pytest.approx(equation(*inputs), rel=1e-9)


def test_defaults_are_the_released_code_s():
    loss = MultiSimilarityLoss()
    assert (loss.alpha, loss.beta, loss.base) == (2.0, 40.0, 0.5)


@pytest.mark.parametrize("mined", [False, True])
def test_peer(mined):
    torch.manual_seed(0)
    z = torch.randn(24, 4, dtype=torch.float64, requires_grad=True)
    labels = torch.arange(24) // 3
    found = peer_miners.MultiSimilarityMiner()(z, labels) if mined else None
    theirs = peer_losses.MultiSimilarityLoss(2, 40, 0.5)(z, labels, found)
    objective = Objective(MultiSimilarityLoss(), MultiSimilarityMiner() if mined else None)
    ours = objective(torch.nn.functional.normalize(z), labels)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)
    ours_grad, theirs_grad = (torch.autograd.grad(loss, z)[0] for loss in (ours, theirs))
    torch.testing.assert_close(ours_grad, theirs_grad, rtol=1e-6, atol=1e-9)
