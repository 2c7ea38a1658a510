"""Squared differences of log ratios against autograd on tables of all pairs."""

import pytest
import torch

from ranklight.kernels.log_ratios import squared_log_ratios


@pytest.mark.parametrize("with_ties", [True, False])
@pytest.mark.parametrize("levels", [1, 3, 50])
def test_all_pairs(rows, value_and_gradient, with_ties, levels):
    similarity, relevance, selection = rows(levels, levels)
    similarity, distance = similarity.clamp(max=0.9), 1 + relevance + 0.2
    pair = (selection.unsqueeze(2) & selection.unsqueeze(1)).triu(1)
    if not with_ties:
        pair &= relevance.unsqueeze(2) != relevance.unsqueeze(1)

    def equation(s):
        ratio = ((2 - 2 * s + 0.1).sqrt() / distance).log()
        squares = (ratio.unsqueeze(2) - ratio.unsqueeze(1)).square()
        return torch.where(pair, squares, 0).sum((1, 2))

    def kernel(s):
        return squared_log_ratios(
            s, -relevance, selection, keep_ties=with_ties, epsilon=0.1, label_epsilon=0.2
        )

    found = value_and_gradient(kernel, similarity)
    torch.testing.assert_close(found, value_and_gradient(equation, similarity))
    assert torch.equal(kernel(similarity)[1], pair.sum((1, 2)))
