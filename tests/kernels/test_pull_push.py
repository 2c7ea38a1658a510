"""Costs of pulling and pushing against plain autograd of their equations."""

import pytest
import torch

from ranklight.kernels import chunks
from ranklight.kernels.pull_push import hinge_pull_push, log_sum_exp_pull_push


@pytest.fixture(params=[1, 1 << 17])
def block_elements(request, monkeypatch):
    monkeypatch.setitem(chunks._BLOCK_ELEMENTS, "cpu", request.param)


@pytest.mark.usefixtures("block_elements")
def test_log_sums(rows, value_and_gradient):
    similarity, relevance, selection = rows(0, 2)
    positive, negative = selection & (relevance > 0), selection & (relevance == 0)

    def equation(s):
        pull = torch.where(positive, (-2 * (s - 0.3)).exp(), 0).sum(1)
        push = torch.where(negative, (5 * (s - 0.3)).exp(), 0).sum(1)
        return pull.log1p(), push.log1p()

    kernel = value_and_gradient(
        lambda s: log_sum_exp_pull_push(s, positive, negative, alpha=2.0, beta=5.0, base=0.3),
        similarity,
    )
    torch.testing.assert_close(kernel, value_and_gradient(equation, similarity))


@pytest.mark.usefixtures("block_elements")
def test_hinges(rows, value_and_gradient):
    similarity, relevance, selection = rows(1, 2)
    positive, negative = selection & (relevance > 0), selection & (relevance == 0)

    def equation(s):
        pull, push = (0.9 - s).relu(), (s + 0.4).relu()
        return torch.where(positive, pull, 0).sum(1), torch.where(negative, push, 0).sum(1)

    kernel = value_and_gradient(
        lambda s: hinge_pull_push(s, positive, negative, positive_margin=0.9, negative_margin=-0.4),
        similarity,
    )
    torch.testing.assert_close(kernel, value_and_gradient(equation, similarity))


def test_a_cost_alone_has_its_own_gradient_only(rows):
    similarity, relevance, selection = rows(2, 2)
    positive, negative = selection & (relevance > 0), selection & (relevance == 0)
    similarity.requires_grad_()
    pull, _ = hinge_pull_push(
        similarity, positive, negative, positive_margin=9.0, negative_margin=-9.0
    )
    pull.sum().backward()
    assert torch.equal(similarity.grad, -positive.double())
