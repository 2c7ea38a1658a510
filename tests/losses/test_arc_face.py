"""ArcFace against loops over anchors with arc cosines, and against pytorch-metric-learning."""

import math

import pytest
import torch
import torch.nn.functional as F
from pytorch_metric_learning import losses as peers

from ranklight.losses import ArcFaceLoss
from ranklight.pairs import ClassCenters, Objective


def wider(cosine, margin):
    angle = math.acos(cosine)
    if angle + margin <= math.pi:
        return math.cos(angle + margin)
    return cosine - margin * math.sin(margin)


def equation(rows, margin=0.5, scale=64.0):
    costs = []
    for positives, negatives in rows:
        if not positives:
            continue
        own = [scale * wider(s, margin) for s in positives]
        logits = own + [scale * s for s in negatives]
        largest = max(logits)
        log_sum = largest + math.log(sum(math.exp(x - largest) for x in logits))
        costs.append(sum(log_sum - x for x in own) / len(own))
    return sum(costs) / max(1, len(costs))


def cosines(seed, anchors, classes):
    """Cosines of all angles, some of them beyond π − m."""
    torch.manual_seed(seed)
    similarity = torch.rand(anchors, classes, dtype=torch.float64) * 1.998 - 0.999
    relevance = (torch.rand(anchors, classes) < 0.4).double()
    return similarity.requires_grad_(), relevance, torch.rand(anchors, classes) < 0.8


@pytest.mark.parametrize("margin", [0.5, 0.0, 1.2])
def test_is_its_equation(margin, sides):
    assert (ArcFaceLoss().margin, ArcFaceLoss().scale) == (0.5, 64.0)
    for seed in range(30):
        inputs = cosines(seed, 1 + seed % 6, 1 + seed % 8)
        expected = equation(sides(*inputs), margin)
        assert ArcFaceLoss(margin)(*inputs).item() == pytest.approx(expected, rel=1e-9)


def own_class(similarity):
    """One anchor of class 0 and the cosines to three centers."""
    relevance = torch.tensor([[1.0, 0.0, 0.0]])
    return similarity.requires_grad_(), relevance, relevance >= 0


@pytest.mark.parametrize("cosine", [1.0, 1 + 2e-7, 1 - 1e-7, -1.0, -1 - 2e-7, 0.0])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_equal_and_opposite_vectors_have_a_gradient(cosine, dtype):
    similarity, *rest = own_class(torch.tensor([[cosine, 0.9, -0.3]], dtype=dtype))
    ArcFaceLoss()(similarity, *rest).backward()
    assert similarity.grad.isfinite().all()
    assert similarity.grad[0, 0] < 0
    assert similarity.grad[0, 1] > 0


def test_anchors_that_are_their_centers_have_a_gradient():
    centers = ClassCenters(3, 3)
    centers.centers.data.copy_(torch.eye(3))
    z = torch.eye(3, requires_grad=True)
    Objective(ArcFaceLoss(scale=1.0), references=centers)(z, torch.arange(3)).backward()
    assert z.grad.isfinite().all()
    assert (z.grad != 0).any()


def test_costs_less_the_closer_the_own_center_is():
    angles = torch.linspace(0, math.pi, 500, dtype=torch.float64)
    costs = []
    for cosine in angles.cos().tolist():
        similarity, *rest = own_class(torch.tensor([[cosine, 0.9, -0.3]], dtype=torch.float64))
        costs.append(ArcFaceLoss()(similarity, *rest).item())
    assert costs == sorted(costs)


@pytest.mark.parametrize("settings", [{}, {"margin": math.radians(10), "scale": 30.0}])
def test_peer_in_degrees(settings):
    torch.manual_seed(0)
    z = F.normalize(torch.randn(24, 8, dtype=torch.float64)).requires_grad_()
    labels = torch.randint(5, (24,))
    ours = ArcFaceLoss(**settings)
    peer = peers.ArcFaceLoss(
        num_classes=7, embedding_size=8, margin=math.degrees(ours.margin), scale=ours.scale
    ).double()
    centers = ClassCenters(7, 8).double()
    centers.centers.data.copy_(peer.W.T)
    value, expected = Objective(ours, references=centers)(z, labels), peer(z, labels)
    torch.testing.assert_close(value, expected)
    value.backward()
    expected.backward()
    torch.testing.assert_close(centers.centers.grad, peer.W.grad.T)


@pytest.mark.parametrize("margin", [-0.1, 28.6])
def test_a_margin_that_is_no_angle_in_radians_is_refused(margin):
    with pytest.raises(ValueError, match="in radians"):
        ArcFaceLoss(margin)
