"""RankSim against loops that rank, its value and its black-box gradient."""

import pytest
import torch

from ranklight.losses import RankSimLoss


def ranks(values):
    """1 for the largest; equal ones share the mean of theirs."""
    return [
        1 + sum(other > own for other in values) + (sum(other == own for other in values) - 1) / 2
        for own in values
    ]


def row(scores, relevances, interpolation):
    """The cost and its gradient by the selected scores."""
    m = len(scores)
    found, wanted = ranks(scores), ranks(relevances)
    cost = sum(((f - w) / m) ** 2 for f, w in zip(found, wanted, strict=True)) / m
    by_rank = [2 * (f - w) / m / m for f, w in zip(found, wanted, strict=True)]
    moved = ranks([s + interpolation * g for s, g in zip(scores, by_rank, strict=True)])
    return cost, [-(f - g) / m / interpolation for f, g in zip(found, moved, strict=True)]


def equation(similarity, relevance, selection, interpolation=200.0):
    costs, gradient = [], torch.zeros_like(similarity)
    for a, chosen in enumerate(selection):
        columns = chosen.nonzero().flatten()
        if len(columns):
            scores, relevances = similarity[a, columns].tolist(), relevance[a, columns].tolist()
            cost, by_score = row(scores, relevances, interpolation)
            costs.append(cost)
            gradient[a, columns] = torch.tensor(by_score, dtype=gradient.dtype)
    return sum(costs) / max(1, len(costs)), gradient / max(1, len(costs))


@pytest.mark.parametrize("interpolation", [200.0, 3.0, 0.2])
@pytest.mark.parametrize("spread", [1.0, 30.0])
def test_value_and_gradient_are_its_equation(compared, interpolation, spread):
    assert RankSimLoss().interpolation == 200.0
    for seed in range(30):
        inputs = compared(seed, 1 + seed % 6, 1 + seed % 8, 4, spread, seed % 2 == 0)
        loss = RankSimLoss(interpolation)(*inputs)
        cost, gradient = equation(*inputs, interpolation)
        assert loss.item() == pytest.approx(cost, rel=1e-6)
        (found,) = torch.autograd.grad(loss, inputs[0])
        torch.testing.assert_close(found, gradient, rtol=1e-6, atol=1e-9)


def test_the_gradient_scales_with_the_weight_of_the_loss(compared):
    similarity, relevance, selection = compared(0, 5, 8, 4)
    loss = RankSimLoss()(similarity, relevance, selection)
    once, thousandfold = (
        torch.autograd.grad(weight * loss, similarity, retain_graph=True)[0] for weight in (1, 1000)
    )
    torch.testing.assert_close(1000 * once, thousandfold)


def test_steps_bring_a_row_into_order():
    similarity = torch.tensor([[0.1, 0.5, 0.3, 0.9]], requires_grad=True)
    relevance = torch.tensor([[0.0, -1.0, -2.0, -3.0]])
    optimizer = torch.optim.SGD([similarity], lr=5.0)
    for _ in range(200):
        optimizer.zero_grad()
        RankSimLoss(2.0)(similarity, relevance, relevance <= 0).backward()
        optimizer.step()
    assert similarity[0].argsort(descending=True).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("interpolation", [0.0, -1.0])
def test_a_step_of_nothing_is_refused(interpolation):
    with pytest.raises(ValueError, match="interpolation must be above 0"):
        RankSimLoss(interpolation)
