"""Sub-center ArcFace against loops over classes, and against pytorch-metric-learning."""

import math

import pytest
import torch
import torch.nn.functional as F
from pytorch_metric_learning import losses as peers

from ranklight.losses import ArcFaceLoss, SubCenterArcFaceLoss
from ranklight.pairs import ClassCenters, Objective


def equation(similarity, own, selection, several, margin=0.5, scale=64.0):
    """`own` says which classes are an anchor's."""
    costs = []
    for scores, mine, selected in zip(
        similarity.tolist(), own.tolist(), selection.tolist(), strict=True
    ):
        positives, logits = [], []
        for c, is_own in enumerate(mine):
            centers = range(c * several, (c + 1) * several)
            cosines = [scores[j] for j in centers if selected[j]]
            if not cosines:
                continue
            closest = max(cosines)
            if is_own:
                closest = math.cos(math.acos(closest) + margin)
                positives.append(scale * closest)
            logits.append(scale * closest)
        if positives:
            log_sum = max(logits) + math.log(sum(math.exp(x - max(logits)) for x in logits))
            costs.append(sum(log_sum - x for x in positives) / len(positives))
    return sum(costs) / max(1, len(costs))


@pytest.mark.parametrize("several", [1, 2, 3])
def test_is_its_equation(several):
    default = SubCenterArcFaceLoss()
    assert (default.centers_per_class, default.margin, default.scale) == (3, 0.5, 64.0)
    for seed in range(20):
        torch.manual_seed(seed)
        anchors, classes = 1 + seed % 5, 1 + seed % 4
        similarity = torch.rand(anchors, classes * several, dtype=torch.float64) * 1.6 - 0.8
        own = torch.rand(anchors, classes) < 0.4
        selection = torch.rand(similarity.shape) < 0.8
        relevance = own.repeat_interleave(several, 1).double()
        value = SubCenterArcFaceLoss(several)(similarity, relevance, selection)
        expected = equation(similarity, own, selection, several)
        assert value.item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_one_center_a_class_is_arc_face(compared):
    for seed in range(5):
        inputs = compared(seed, 5, 6)
        torch.testing.assert_close(SubCenterArcFaceLoss(1)(*inputs), ArcFaceLoss()(*inputs))


def test_peer():
    torch.manual_seed(0)
    z = F.normalize(torch.randn(24, 8, dtype=torch.float64)).requires_grad_()
    labels = torch.randint(5, (24,))
    peer = peers.SubCenterArcFaceLoss(
        num_classes=7, embedding_size=8, sub_centers=3, margin=math.degrees(0.5)
    ).double()
    centers = ClassCenters(7, 8, centers_per_class=3).double()
    centers.centers.data.copy_(peer.W.T)
    ours, theirs = Objective(SubCenterArcFaceLoss(), references=centers)(z, labels), peer(z, labels)
    torch.testing.assert_close(ours, theirs)
    ours.backward()
    theirs.backward()
    torch.testing.assert_close(centers.centers.grad, peer.W.grad.T)


@pytest.mark.usefixtures("unchecked")
def test_columns_that_are_no_classes_are_refused():
    similarity = torch.zeros(2, 7)
    with pytest.raises(ValueError, match=r"3 neighbouring centers a class.* got 7 columns"):
        SubCenterArcFaceLoss()(similarity, similarity, similarity == 0)


def test_other_centers_per_class_are_refused_before_training():
    with pytest.raises(ValueError, match=r"centers_per_class=3.* ClassCenters has 1"):
        Objective(SubCenterArcFaceLoss(), references=ClassCenters(9, 4))
    with pytest.raises(ValueError, match=r"InBatch has 1"):
        Objective(SubCenterArcFaceLoss())
