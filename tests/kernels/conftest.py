"""Inputs that the kernels' tests share."""

import pytest
import torch


@pytest.fixture(scope="session")
def value_and_gradient():
    """`value_and_gradient(cost, similarity)` -> one or more costs of rows, and the gradient.

    Rows and costs weigh differently; counts, which are integers, are left out.
    """

    def of(cost, similarity):
        similarity = similarity.detach().requires_grad_()
        found = cost(similarity)
        found = [found] if isinstance(found, torch.Tensor) else found
        costs = [c for c in found if c.is_floating_point()]
        weights = torch.arange(1.0, 1 + len(similarity), dtype=similarity.dtype)
        sum((k + 1) * (c * weights).sum() for k, c in enumerate(costs)).backward()
        return *(c.detach() for c in costs), similarity.grad

    return of


@pytest.fixture(scope="session")
def rows():
    """`rows(seed, levels)` -> similarity, relevance of so many levels, selection; in float64."""

    def make(seed, levels, anchors=6, references=9):
        torch.manual_seed(seed)
        similarity = torch.randn(anchors, references, dtype=torch.float64)
        relevance = torch.randint(levels, (anchors, references)).double()
        selection = torch.rand(anchors, references) < 0.8
        selection[0] = False
        return similarity, relevance, selection

    return make
