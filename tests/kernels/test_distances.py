"""Distances from similarities: their derivative, duplicates, and what is not selected."""

import pytest
import torch

from ranklight.kernels.distances import distances


def test_are_the_distances_of_the_vectors_with_their_gradient():
    torch.manual_seed(0)
    z, r = torch.randn(5, 3).double(), torch.randn(4, 3).double()
    similarity = (1 - torch.cdist(z, r).square() / 2).requires_grad_()
    everywhere = torch.ones(5, 4).bool()
    torch.testing.assert_close(distances(similarity, everywhere, 0.0), torch.cdist(z, r))
    assert torch.autograd.gradcheck(lambda s: distances(s, everywhere, 1e-3), similarity)


@pytest.mark.parametrize("epsilon", [0.0, 1e-6])
def test_duplicates_and_what_is_not_selected_have_no_gradient(epsilon):
    similarity = torch.tensor([[1.0, 1.5, torch.nan, -torch.inf, 0.5]], requires_grad=True)
    selected = torch.tensor([[True, True, False, False, True]])
    found = distances(similarity, selected, epsilon)
    expected = torch.tensor([[0.0, 0.0, 0.0, 0.0, 1.0]]).add(epsilon).sqrt()
    torch.testing.assert_close(found, expected)
    found.sum().backward()
    assert similarity.grad[0].tolist() == pytest.approx([0, 0, 0, 0, -1])
