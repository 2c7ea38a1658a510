"""Smooth ranks against their sum by autograd, in blocks of any size."""

import pytest
import torch

from ranklight.kernels import chunks
from ranklight.kernels.soft_ranks import soft_ranks


def plain(similarity, columns, selected, temperature):
    others = torch.where(selected, similarity, -torch.inf).unsqueeze(1)
    own = similarity.gather(1, columns.clamp(min=0)).unsqueeze(2)
    ahead = ((others - own) / temperature).sigmoid()
    ahead = ahead.scatter(2, columns.clamp(min=0).unsqueeze(2), 0)
    return torch.where(columns < 0, 1, 1 + ahead.sum(2))


@pytest.mark.parametrize("elements", [1, 20, 1 << 17])
def test_ranks_and_gradient_are_those_of_autograd(elements, monkeypatch, value_and_gradient):
    monkeypatch.setitem(chunks._BLOCK_ELEMENTS, "cpu", elements)
    torch.manual_seed(0)
    similarity, weight = torch.randn(5, 7).double(), torch.randn(5, 3).double()
    columns = torch.stack([torch.randperm(7)[:3] for _ in range(5)])
    columns[0, 2], columns[1] = -1, -1
    selected = torch.rand(5, 7) < 0.6
    selected.scatter_(1, columns.clamp(min=0), True)
    found, expected = (
        value_and_gradient(
            lambda s, f=f: (f(s, columns, selected, 0.5) * weight).sum(1), similarity
        )
        for f in (soft_ranks, plain)
    )
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_nothing_is_ranked():
    nobody = torch.empty(4, 0, dtype=torch.int64)
    assert soft_ranks(torch.randn(4, 6), nobody, torch.ones(4, 6).bool(), 0.1).shape == (4, 0)
