"""The absolute error against a loop over numbers."""

import pytest
import torch

from ranklight.losses import AbsoluteErrorLoss


def equation(similarity, relevance, selection):
    triples = zip(
        similarity.flatten().tolist(),
        relevance.flatten().tolist(),
        selection.flatten().tolist(),
        strict=True,
    )
    errors = [abs(s - r) for s, r, chosen in triples if chosen]
    return sum(errors) / max(1, len(errors))


@pytest.mark.parametrize("spread", [1.0, 1e3])
def test_is_its_equation(compared, spread):
    for seed in range(30):
        inputs = compared(seed, 1 + seed % 6, 1 + seed % 8, 5, spread, seed % 2 == 0)
        assert AbsoluteErrorLoss()(*inputs).item() == pytest.approx(equation(*inputs), rel=1e-9)


def test_is_l1_loss_of_torch():
    predictions, numbers = torch.randn(5, 3), torch.randn(5, 3)
    loss = AbsoluteErrorLoss()(predictions, numbers, torch.ones(5, 3).bool())
    torch.testing.assert_close(loss, torch.nn.functional.l1_loss(predictions, numbers))
