"""Integers in the order of floats, and back."""

import pytest
import torch

from ranklight.kernels.sortable_bits import bits_of, from_sortable_bits, sortable_bits

VALUES = [-torch.inf, -1e30, -2.0, -1.0, -1e-40, 0.0, 1e-40, 0.5, 1.0, 1e30, torch.inf]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_the_order_is_that_of_the_values(dtype):
    values = torch.tensor(VALUES, dtype=dtype)
    bits = sortable_bits(values)
    assert bits.element_size() == values.element_size()
    assert (bits[1:] > bits[:-1]).all()
    assert torch.equal(from_sortable_bits(bits, dtype), values)


def test_both_zeros_are_equal():
    zeros = torch.tensor([0.0, -0.0])
    assert sortable_bits(zeros).tolist() == [0, 0]
    assert bits_of(zeros).tolist() == [0, -(2**31)]
