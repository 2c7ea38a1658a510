"""A linear map of embeddings is trained to be the labels."""

import pytest
import torch
from torch.nn.functional import l1_loss

from ranklight.losses import AbsoluteErrorLoss
from ranklight.pairs import Regression


def test_is_l1_regression():
    torch.manual_seed(0)
    z, labels = torch.randn(6, 4, requires_grad=True), torch.randn(6, 2)
    regression = Regression(AbsoluteErrorLoss(), 2, 4)
    expected = l1_loss(regression.head(z), labels)
    found = regression.evaluate(z, labels, torch.arange(6))
    torch.testing.assert_close(found.loss, expected)
    assert found.by_name() == {}
    torch.testing.assert_close(
        torch.autograd.grad(found.loss, (z, regression.head.weight)),
        torch.autograd.grad(expected, (z, regression.head.weight)),
    )


@pytest.mark.parametrize("labels", [torch.arange(6), torch.arange(6.0).unsqueeze(1)])
def test_one_number_an_image(labels):
    regression = Regression(AbsoluteErrorLoss(), label_dim=1)
    regression.complete(label_dim=9, embedding_dim=4)
    z = torch.randn(6, 4)
    expected = l1_loss(regression.head(z).squeeze(1), torch.arange(6.0))
    torch.testing.assert_close(regression(z, labels), expected)


@pytest.mark.usefixtures("unchecked")
def test_what_cannot_be_predicted_is_refused():
    regression, z = Regression(AbsoluteErrorLoss(), 2, 4), torch.randn(6, 4)
    with pytest.raises(ValueError, match=r"labels of 2 numbers each; got the shape \[6\]"):
        regression(z, torch.randn(6))
    with pytest.raises(TypeError, match="float32 or wider"):
        regression(z, torch.randn(6, 2).half())
    with pytest.raises(ValueError, match="label 0 is NaN"):
        regression(z, torch.full((6, 2), torch.nan))
    with pytest.raises(ValueError, match="embeddings must have 4 dimensions; got 3"):
        regression(z[:, :3], torch.randn(6, 2))
    with pytest.raises(RuntimeError, match="or complete"):
        Regression(AbsoluteErrorLoss())(z, torch.randn(6, 2))
