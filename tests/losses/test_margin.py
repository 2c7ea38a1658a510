"""The margin loss against loops over pairs and triplets, and against pytorch-metric-learning."""

import math

import pytest
import torch
from pytorch_metric_learning import losses as peers
from torch.nn.functional import normalize

from ranklight.losses import MarginLoss
from ranklight.miners import DistanceWeighted, Hardest
from ranklight.pairs import InBatch, Objective, SameClass, compare


def distance(s, epsilon=1e-6):
    return math.sqrt(max(0.0, 2 - 2 * s) + epsilon)


def mean_of_active(costs):
    active = [cost for cost in costs if cost > 0]
    return sum(active) / max(1, len(active))


def equation(rows, betas, margin=0.2):
    costs = []
    for (positives, negatives), beta in zip(rows, betas, strict=True):
        costs += [max(0.0, margin + distance(s) - beta) for s in positives]
        costs += [max(0.0, margin - distance(s) + beta) for s in negatives]
    return mean_of_active(costs)


def of_opponents(similarity, opponents, beta=1.2, margin=0.2):
    costs = []
    for row, chosen in zip(similarity.tolist(), opponents.tolist(), strict=True):
        for i, j in enumerate(chosen):
            if j >= 0:
                costs.append(max(0.0, margin + distance(row[i]) - beta))
                costs.append(max(0.0, margin - distance(row[j]) + beta))
    return mean_of_active(costs)


@pytest.mark.parametrize("margin", [0.2, 0.0])
@pytest.mark.parametrize("spread", [1.0, 30.0])
def test_is_its_equation(compared, sides, margin, spread):
    for seed in range(30):
        inputs = compared(seed, 1 + seed % 6, 1 + seed % 8, 2, spread, seed % 2 == 0)
        expected = equation(sides(*inputs), [1.2] * len(inputs[0]), margin)
        assert MarginLoss(margin)(*inputs).item() == pytest.approx(expected, rel=1e-6)


def test_of_opponents_is_its_equation(compared):
    for seed in range(30):
        similarity, relevance, selection = compared(seed, 5, 8, 2, ties=seed % 2 == 0)
        opponents = Hardest()(similarity.detach(), relevance, selection)
        expected = of_opponents(similarity, opponents)
        loss = MarginLoss()(similarity, relevance, opponents)
        assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_defaults():
    loss = MarginLoss()
    assert (loss.margin, loss.beta.tolist()) == (0.2, pytest.approx([1.2]))
    assert [name for name, _ in loss.named_parameters()] == ["beta"]
    assert not list(MarginLoss(learned=False).parameters())
    assert list(MarginLoss(learned=False).state_dict()) == ["beta"]


def test_each_class_has_its_boundary(compared, sides):
    loss = MarginLoss(num_classes=3).double()
    with torch.no_grad():
        loss.beta.copy_(torch.tensor([0.5, 1.2, 1.5]))
    inputs, labels = compared(0, 6, 8), torch.tensor([0, 2, 1, 1, 2, 0])
    value = loss(*inputs, labels)
    expected = equation(sides(*inputs), loss.beta[labels].tolist())
    assert value.item() == pytest.approx(expected, rel=1e-9)
    moved = torch.autograd.functional.jacobian(
        lambda beta: torch.func.functional_call(loss, {"beta": beta}, (*inputs, labels)), loss.beta
    )
    assert torch.autograd.gradcheck(
        lambda beta: torch.func.functional_call(loss, {"beta": beta}, (*inputs, labels)), loss.beta
    )
    assert (moved != 0).all()


def test_the_objective_gives_the_classes():
    torch.manual_seed(0)
    z, labels = normalize(torch.randn(12, 4)), torch.arange(12) // 3
    loss = MarginLoss(num_classes=4)
    objective = Objective(loss, DistanceWeighted(4))
    objective(z, labels).backward()
    assert (loss.beta.grad != 0).any()
    torch.testing.assert_close(
        Objective(loss)(z, labels), loss(*compare(z, labels, InBatch(), SameClass()), labels)
    )


@pytest.mark.usefixtures("unchecked")
def test_missing_and_wrong_classes_are_refused(compared):
    loss, inputs = MarginLoss(num_classes=3), compared(0, 6, 8)
    with pytest.raises(ValueError, match=r"num_classes=3\) needs the labels of the anchors"):
        loss(*inputs)
    with pytest.raises(ValueError, match=r"labels of MarginLoss must be 0\.\.2; got 5"):
        loss(*inputs, torch.arange(6))
    with pytest.raises(ValueError, match="6 anchors need as many labels, got 2"):
        loss(*inputs, torch.arange(2))


@pytest.mark.parametrize("classes", [None, 5])
def test_peer(classes):
    """On chosen triplets; of pairs the peer counts each as often as it is in a triplet."""
    torch.manual_seed(0)
    z = torch.randn(24, 4, dtype=torch.float64, requires_grad=True)
    labels = torch.arange(24) % 5
    ours = MarginLoss(num_classes=classes, epsilon=0.0).double()
    peer = peers.MarginLoss(learn_beta=True, num_classes=classes).double()
    similarity, relevance, mask = compare(normalize(z), labels, InBatch(), SameClass())
    opponents = Hardest()(similarity.detach(), relevance, mask)
    anchor, positive = (opponents >= 0).nonzero().T
    value = ours(similarity, relevance, opponents, labels)
    theirs = peer(z, labels, (anchor, positive, opponents[anchor, positive]))
    torch.testing.assert_close(value, theirs, rtol=1e-6, atol=0)
    value.backward()
    (expected,) = torch.autograd.grad(theirs, z, retain_graph=True)
    torch.testing.assert_close(z.grad, expected, rtol=1e-6, atol=1e-9)
    (expected,) = torch.autograd.grad(theirs, peer.beta)
    torch.testing.assert_close(ours.beta.grad, expected, rtol=1e-6, atol=1e-9)
