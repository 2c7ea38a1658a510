"""Counts within rows, against loops."""

import pytest
import torch

from ranklight.kernels.orders import count_below, mean_ranks


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_selected_keys_below_each(dtype):
    torch.manual_seed(0)
    keys, selected = torch.randint(4, (6, 9)).to(dtype), torch.rand(6, 9) < 0.7
    selected[0] = False
    for row, chosen, counts in zip(keys, selected, count_below(keys, selected), strict=True):
        for key, is_selected, count in zip(row, chosen, counts, strict=True):
            assert count == (((row < key) & chosen).sum() if is_selected else 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_keys_share_the_mean_of_their_ranks(dtype):
    torch.manual_seed(0)
    keys, selected = torch.randint(4, (6, 9)).to(dtype), torch.rand(6, 9) < 0.7
    selected[0] = False
    for row, chosen, ranks in zip(keys, selected, mean_ranks(keys, selected), strict=True):
        for key, is_selected, rank in zip(row, chosen, ranks, strict=True):
            below, equal = (row < key) & chosen, (row == key) & chosen
            assert rank == (below.sum() + (equal.sum() + 1) / 2 if is_selected else 0)
