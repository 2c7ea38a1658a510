"""What stands in for the elements of a mask."""

import math

import pytest
import torch

from ranklight.kernels.rowwise import masked_where


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("otherwise", [0.0, -2.5, math.inf, -math.inf])
def test_kept_values_are_theirs_bit_for_bit_and_the_others_one_number(dtype, otherwise):
    torch.manual_seed(0)
    values, mask = torch.randn(5, 7).to(dtype), torch.rand(5, 7) < 0.5
    values[0], values[1] = math.nan, -math.inf
    expected = torch.where(mask, values, otherwise)
    found = masked_where(values, mask, otherwise)
    assert found.dtype == dtype
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)
