"""The contrastive loss against loops over pairs, and against pytorch-metric-learning."""

import pytest
import torch
from pytorch_metric_learning import distances, reducers
from pytorch_metric_learning import losses as peers

from ranklight.losses import ContrastiveLoss
from ranklight.pairs import Objective


def equation(similarity, relevance, selection, average="pairs", near=1.0, far=0.5):
    pull, push = [], []
    for s, r, chosen in zip(
        similarity.tolist(), relevance.tolist(), selection.tolist(), strict=True
    ):
        known = [(x, y > 0) for x, y, c in zip(s, r, chosen, strict=True) if c]
        pull += [max(0.0, near - x) for x, same in known if same]
        push += [max(0.0, x - far) for x, same in known if not same]
    if average == "anchors":
        return (sum(pull) + sum(push)) / len(similarity)
    return sum(pull) / max(1, len(pull)) + sum(push) / max(1, len(push))


@pytest.mark.parametrize("average", ["pairs", "anchors"])
@pytest.mark.parametrize("spread", [1.0, 1e3])
def test_is_its_equation(compared, average, spread):
    for seed in range(30):
        inputs = compared(seed, 1 + seed % 6, 1 + seed % 8, 2, spread, seed % 2 == 0)
        expected = equation(*inputs, average)
        assert ContrastiveLoss(average=average)(*inputs).item() == pytest.approx(expected, rel=1e-9)


def test_defaults_are_those_of_the_memory_paper_s_code():
    loss = ContrastiveLoss()
    assert (loss.positive_margin, loss.negative_margin, loss.average) == (1.0, 0.5, "pairs")


@pytest.mark.parametrize("margins", [(1.0, 0.5), (0.8, -0.1)])
def test_peer(margins):
    torch.manual_seed(0)
    z = torch.randn(24, 4, dtype=torch.float64, requires_grad=True)
    labels = torch.arange(24) // 3
    peer = peers.ContrastiveLoss(
        *margins, distance=distances.CosineSimilarity(), reducer=reducers.MeanReducer()
    )
    ours = Objective(ContrastiveLoss(*margins))(torch.nn.functional.normalize(z), labels)
    theirs = peer(z, labels)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)
    ours_grad, theirs_grad = (torch.autograd.grad(loss, z)[0] for loss in (ours, theirs))
    torch.testing.assert_close(ours_grad, theirs_grad, rtol=1e-6, atol=1e-9)
