"""The losses against class centers, each against its loop, and the rule that moves centers."""

import math

import pytest
import torch
import torch.distributed as dist

from ranklight.losses import CenterLoss, MagnetLoss, TripletCenterLoss
from ranklight.pairs import ClassCenters, Objective


def rows(similarity, relevance, selection):
    for s, r, chosen in zip(
        similarity.tolist(), relevance.tolist(), selection.tolist(), strict=True
    ):
        known = [(2 - 2 * x, y > 0) for x, y, c in zip(s, r, chosen, strict=True) if c]
        yield [d for d, same in known if same], [d for d, same in known if not same]


def center(inputs):
    return [min(own) / 2 for own, _ in rows(*inputs) if own]


def triplet_center(inputs, margin=5.0):
    both = [(own, other) for own, other in rows(*inputs) if own and other]
    return [max(0.0, margin + min(own) / 2 - min(other) / 2) for own, other in both]


def magnet(inputs, alpha=1.0):
    both = [(min(own), other) for own, other in rows(*inputs) if own and other]
    variance = max(1e-12, sum(own for own, _ in both) / max(1, len(both) - 1))
    costs = []
    for own, other in both:
        largest = -min(other) / (2 * variance)
        others = sum(math.exp(-d / (2 * variance) - largest) for d in other)
        costs.append(max(0.0, own / (2 * variance) + alpha + largest + math.log(others)))
    return costs


LOSSES = [(CenterLoss(), center), (TripletCenterLoss(), triplet_center), (MagnetLoss(), magnet)]


def test_defaults():
    assert CenterLoss().average == "anchors"
    assert TripletCenterLoss().margin == 5.0
    assert MagnetLoss().alpha == 1.0


@pytest.mark.parametrize(("loss", "equation"), LOSSES)
@pytest.mark.parametrize("spread", [1.0, 1e3])
@pytest.mark.parametrize("ties", [False, True])
def test_is_its_equation(compared, loss, equation, spread, ties):
    for seed in range(20):
        inputs = compared(seed, 1 + seed % 6, 1 + seed % 8, 2, spread, ties)
        costs = equation(inputs)
        expected = sum(costs) / max(1, len(costs))
        assert loss(*inputs).item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("loss", "equation"), LOSSES)
def test_gradient(compared, loss, equation):
    similarity, relevance, selection = compared(1, 6, 8)
    assert torch.autograd.gradcheck(lambda s: loss(s, relevance, selection), similarity)


def test_the_paper_s_center_loss_is_a_sum(compared):
    inputs = compared(0, 6, 8)
    assert CenterLoss("sum")(*inputs).item() == pytest.approx(sum(center(inputs)))


def test_anchors_on_their_centers_have_no_magnet_gradient_to_lose():
    similarity = torch.tensor([[1.0, -1.0], [-1.0, 1.0]], requires_grad=True)
    loss = MagnetLoss()(similarity, torch.eye(2), torch.ones(2, 2).bool())
    loss.backward()
    assert loss.item() == 0
    assert similarity.grad.isfinite().all()


def test_several_centers_a_class_are_neighbours():
    found = ClassCenters(3, 4, centers_per_class=2)(
        torch.randn(5, 4), torch.tensor([0, 1, 2, 2, 0])
    )
    assert found.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert found.embeddings.shape == (6, 4)
    assert found.mask.shape == (5, 6)


def test_the_closest_centre_of_the_own_class_moves_by_the_paper_s_rule():
    torch.manual_seed(0)
    centers = ClassCenters(3, 2, normalize=False, centers_per_class=2, center_learning_rate=0.5)
    before = centers.centers.tolist()
    z, labels = torch.randn(4, 2), torch.tensor([0, 0, 2, 0])
    found = centers(z, labels)
    assert found.embeddings.tolist() == before
    assert not found.embeddings.requires_grad
    step, count = [[0.0, 0.0] for _ in before], [0] * 6
    for x, label in zip(z.tolist(), labels.tolist(), strict=True):
        own = min((2 * label, 2 * label + 1), key=lambda c: math.dist(x, before[c]))
        count[own] += 1
        step[own] = [total + c - v for total, c, v in zip(step[own], before[own], x, strict=True)]
    for c, moved in enumerate(centers.centers.tolist()):
        wanted = [b - 0.5 * s / (1 + count[c]) for b, s in zip(before[c], step[c], strict=True)]
        assert moved == pytest.approx(wanted, rel=1e-5)


def test_moved_centers_stay_in_evaluation_and_are_saved():
    centers = ClassCenters(3, 2, center_learning_rate=0.5).eval()
    before = centers.centers.clone()
    centers(torch.randn(4, 2), torch.tensor([0, 0, 2, 0]))
    assert torch.equal(centers.centers, before)
    assert not list(centers.parameters())
    assert "centers" in centers.state_dict()


def test_two_ranks_move_centers_as_one_process(run_on_ranks):
    z, labels = torch.randn(6, 2), torch.tensor([0, 1, 0, 1, 0, 1])
    expected = _moved(z, labels)
    for moved in run_on_ranks(move_with_my_half, 2, z, labels):
        torch.testing.assert_close(moved, expected)


def move_with_my_half(z, labels):
    return _moved(z.chunk(2)[dist.get_rank()], labels.chunk(2)[dist.get_rank()])


def _moved(z, labels):
    centers = ClassCenters(2, 2, normalize=False, center_learning_rate=0.5)
    centers.centers.copy_(torch.eye(2))
    centers(z, labels)
    return centers.centers


def test_centers_are_learned_through_the_loss():
    references = ClassCenters(3, 4)
    objective = Objective(TripletCenterLoss(), references=references)
    objective(torch.randn(6, 4), torch.arange(6) // 2).backward()
    assert references.centers.grad.abs().sum() > 0
