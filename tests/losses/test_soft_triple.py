"""SoftTriple against loops over classes, and against pytorch-metric-learning with its merging."""

import math

import pytest
import torch
import torch.nn.functional as F
from pytorch_metric_learning import losses as peers
from pytorch_metric_learning.regularizers import SparseCentersRegularizer

from ranklight.losses import SoftTripleLoss
from ranklight.pairs import ClassCenters, Objective


def equation(similarity, own, selection, several, scale=20.0, gamma=0.1, margin=0.01):
    """`own` says which classes are an anchor's."""
    costs = []
    for scores, mine, selected in zip(
        similarity.tolist(), own.tolist(), selection.tolist(), strict=True
    ):
        positives, logits = [], []
        for c, is_own in enumerate(mine):
            cosines = [scores[j] for j in range(c * several, (c + 1) * several) if selected[j]]
            if not cosines:
                continue
            weights = [math.exp(s / gamma) for s in cosines]
            relaxed = sum(w * s for w, s in zip(weights, cosines, strict=True)) / sum(weights)
            logits.append(scale * (relaxed - margin if is_own else relaxed))
            if is_own:
                positives.append(logits[-1])
        if positives:
            log_sum = math.log(sum(math.exp(x) for x in logits))
            costs.append(sum(log_sum - x for x in positives) / len(positives))
    return sum(costs) / max(1, len(costs))


@pytest.mark.parametrize("several", [1, 2, 10])
def test_is_its_equation(several):
    default = SoftTripleLoss()
    assert (default.centers_per_class, default.scale) == (10, 20.0)
    assert (default.gamma, default.margin) == (0.1, 0.01)
    for seed in range(20):
        torch.manual_seed(seed)
        anchors, classes = 1 + seed % 5, 1 + seed % 4
        similarity = torch.rand(anchors, classes * several, dtype=torch.float64) * 2 - 1
        own = torch.rand(anchors, classes) < 0.4
        selection = torch.rand(similarity.shape) < 0.8
        relevance = own.repeat_interleave(several, 1).double()
        value = SoftTripleLoss(several)(similarity, relevance, selection)
        expected = equation(similarity, own, selection, several)
        assert value.item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("merging", [0.0, 0.2])
def test_peer(merging):
    torch.manual_seed(0)
    z = F.normalize(torch.randn(24, 8, dtype=torch.float64)).requires_grad_()
    labels = torch.randint(5, (24,))
    merged = {"weight_regularizer": SparseCentersRegularizer(7, 10), "weight_reg_weight": merging}
    peer = peers.SoftTripleLoss(7, 8, **merged if merging else {}).double()
    centers = ClassCenters(7, 8, centers_per_class=10, center_merging=merging).double()
    centers.centers.data.copy_(peer.fc.T)
    ours, theirs = Objective(SoftTripleLoss(), references=centers)(z, labels), peer(z, labels)
    torch.testing.assert_close(ours, theirs)
    ours.backward()
    theirs.backward()
    torch.testing.assert_close(centers.centers.grad, peer.fc.grad.T)


def test_equal_centers_have_a_gradient():
    centers = ClassCenters(2, 3, centers_per_class=10, center_merging=0.2)
    centers.centers.data.fill_(1.0)
    z = F.normalize(torch.randn(4, 3))
    Objective(SoftTripleLoss(), references=centers)(z, torch.tensor([0, 0, 1, 1])).backward()
    assert centers.centers.grad.isfinite().all()


def test_one_center_cannot_merge():
    with pytest.raises(ValueError, match="center_merging needs several"):
        ClassCenters(2, 3, center_merging=0.2)
