"""Miners of pytorch-metric-learning for losses of ours."""

import pytest
import torch
import torch.nn.functional as F
from pytorch_metric_learning import miners as peer_miners

from ranklight.losses import ContrastiveLoss
from ranklight.miners import FromPML
from ranklight.pairs import Objective


@pytest.mark.parametrize("miner", [peer_miners.PairMarginMiner(), peer_miners.BatchHardMiner()])
def test_their_miner_for_a_loss_of_ours(miner):
    torch.manual_seed(0)
    z = F.normalize(torch.randn(24, 8, dtype=torch.float64))
    labels = torch.randint(5, (24,))
    kept = FromPML(miner)(z, labels, z, labels, ~torch.eye(24, dtype=torch.bool))
    mined = miner(z, labels)
    a, p, b, n = mined if len(mined) == 4 else (mined[0], mined[1], mined[0], mined[2])
    expected = torch.zeros(24, 24, dtype=torch.bool)
    for i, j in [
        *zip(a.tolist(), p.tolist(), strict=True),
        *zip(b.tolist(), n.tolist(), strict=True),
    ]:
        expected[i, j] = True
    assert kept.equal(expected)
    objective = Objective(ContrastiveLoss(), FromPML(miner))
    assert objective.evaluate(z, labels).mined_fraction == expected.sum() / (24 * 23)
