"""Cross-entropy of rows against torch's, whole and in blocks of columns."""

import pytest
import torch
import torch.nn.functional as F

from ranklight.kernels.cross_entropy import (
    Logits,
    joined,
    mean_cross_entropy,
    row_costs,
    row_derivatives,
    row_sums,
)


def inputs(rows=7, columns=10):
    torch.manual_seed(0)
    values = (torch.randn(rows, columns, dtype=torch.float64) * 5).requires_grad_()
    target = torch.randint(columns, (rows,))
    return values, target


def test_one_positive_a_row_is_torchs():
    values, target = inputs()
    everything = torch.ones_like(values, dtype=torch.bool)
    ours = mean_cross_entropy(row_sums(Logits(values, F.one_hot(target, 10).bool(), everything)))
    torch.testing.assert_close(ours, F.cross_entropy(values, target))


@pytest.mark.parametrize("size", [1, 3, 10])
def test_blocks_of_columns_are_the_whole(size):
    values, _ = inputs()
    positive, summed = torch.rand(2, 7, 10) < 0.4
    positive[3], summed[4] = False, False
    whole = mean_cross_entropy(row_sums(Logits(values, positive, summed)))
    blocks = [
        row_sums(
            Logits(*(matrix[:, start : start + size] for matrix in (values, positive, summed)))
        )
        for start in range(0, 10, size)
    ]
    parts = mean_cross_entropy(joined(blocks))
    torch.testing.assert_close(parts, whole)
    (expected,) = torch.autograd.grad(whole, values)
    (found,) = torch.autograd.grad(parts, values)
    torch.testing.assert_close(found, expected)
    assert (found[3:5] == 0).all()


@pytest.mark.parametrize("share", [0.6, 1.0])
def test_derivatives_are_autograds(share):
    values, _ = inputs()
    positive, summed = torch.rand(7, 10) < 0.4, torch.rand(7, 10) < share
    positive[3] = False
    if share < 1:
        summed[4] = False
    logits = Logits(values, positive, summed)
    cost, counted = row_costs(row_sums(logits))
    (expected,) = torch.autograd.grad(cost, values, torch.ones_like(cost))
    found = row_derivatives(logits._replace(values=values.detach()))
    torch.testing.assert_close(found, (expected, cost.detach(), counted))
