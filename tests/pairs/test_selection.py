"""A selection, divided by the sign of the relevance."""

import math

import pytest
import torch

from ranklight.pairs.selection import split


def test_split_divides_the_selection_at_relevance_0():
    relevance = torch.tensor([[1.0, 0.5, 0.0, -3.0, 1.0]])
    selection = torch.tensor([[True, True, True, True, False]])
    positive, negative = split(relevance, selection)
    assert positive.tolist() == [[True, True, False, False, False]]
    assert negative.tolist() == [[False, False, True, True, False]]


def test_split_refuses_opponents():
    with pytest.raises(TypeError, match="Bool selection"):
        split(torch.ones(2, 2), torch.zeros(2, 2, dtype=torch.int64))


def test_a_relevance_that_is_not_a_number_is_no_positive():
    relevance = torch.tensor([[math.nan, 1.0, 0.0, -1.0]])
    positive, negative = split(relevance, torch.ones(1, 4, dtype=torch.bool))
    assert positive.tolist() == [[False, True, False, False]]
    assert negative.tolist() == [[True, False, True, True]]
