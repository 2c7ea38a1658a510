"""Sums and means over selected pairs, against loops over Python floats."""

import math

import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st

from ranklight.kernels.masked import (
    at_least_float32,
    changed_where,
    everywhere,
    log1p_exp,
    log1p_sum_exp,
    log_sum_exp,
    log_sum_exp_and_weights,
    log_sum_exp_over_ranks,
    masked_mean,
    masked_where,
    mean_over_ranks,
    where_selected,
)

KERNELS = {"log_sum_exp": (log_sum_exp, 0.0), "log1p_sum_exp": (log1p_sum_exp, 1.0)}


def log_of_sum(exponents, implicit):
    largest = max([0.0, *exponents]) if implicit else max(exponents, default=0.0)
    total = implicit * math.exp(-largest) + sum(math.exp(x - largest) for x in exponents)
    return largest + math.log(total) if total else -math.inf


def random_rows(seed, rows, columns, spread=1.0):
    torch.manual_seed(seed)
    values = torch.randn(rows, columns, dtype=torch.float64) * spread
    return values, torch.rand(rows, columns) < 0.5


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


def test_masked_mean_is_0_without_gradient_when_nothing_is_selected():
    values = torch.tensor([1.0, 2.0], requires_grad=True)
    mean = masked_mean(values, torch.tensor([False, False]))
    mean.backward()
    assert mean.item() == 0
    assert values.grad.tolist() == [0, 0]


def test_masked_mean_never_sees_the_rest():
    values = torch.tensor([1.0, 3.0, math.inf, math.nan], requires_grad=True)
    mean = masked_mean(values, torch.tensor([True, True, False, False]))
    mean.backward()
    assert mean.item() == 2
    assert values.grad.tolist() == [0.5, 0.5, 0, 0]


def test_masked_mean_of_many_halves_does_not_overflow():
    values = torch.full((4096,), 100.0, dtype=torch.float16)
    assert masked_mean(values, torch.ones(4096, dtype=torch.bool)).item() == 100


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("spread", [1.0, 1e3])
def test_sums_of_exponentials_are_those_of_a_loop(name, spread):
    kernel, implicit = KERNELS[name]
    values, mask = random_rows(0, 6, 9, spread)
    mask[0], mask[1] = False, True
    expected = [
        log_of_sum([x for x, kept in zip(row, keep, strict=True) if kept], implicit)
        for row, keep in zip(values.tolist(), mask.tolist(), strict=True)
    ]
    assert kernel(values, mask).tolist() == pytest.approx(expected, rel=1e-12)
    assert kernel(values.float(), mask).tolist() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", KERNELS)
def test_gradient_of_sums_of_exponentials(name):
    kernel, _ = KERNELS[name]
    values, mask = random_rows(1, 4, 5)
    mask[:, 0] = True
    assert torch.autograd.gradcheck(lambda x: kernel(x, mask), values.requires_grad_())


@pytest.mark.parametrize("name", KERNELS)
def test_an_empty_row_has_zero_gradient_and_masked_values_are_never_seen(name):
    kernel, implicit = KERNELS[name]
    values = torch.tensor([[1.0, 2.0], [3e38, math.inf]], requires_grad=True)
    result = kernel(values, torch.tensor([[True, True], [False, False]]))
    result.sum().backward()
    assert result[1].item() == (0 if implicit else -math.inf)
    assert values.grad[1].tolist() == [0, 0]
    assert values.grad[0].sum().item() == pytest.approx(1, abs=0.1)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 5), st.integers(1, 6), st.sampled_from([0.1, 1e3]))
def test_softmax_is_the_gradient_at_any_shape(seed, rows, columns, spread):
    values, mask = random_rows(seed, rows, columns, spread)
    values.requires_grad_()
    log_sum_exp(values, mask).nan_to_num(neginf=0).sum().backward()
    expected = torch.where(mask, values.detach(), -torch.inf).softmax(1).nan_to_num()
    torch.testing.assert_close(values.grad, expected)


def test_log1p_exp_is_exact_above_20_and_defined_at_minus_infinity():
    values = torch.tensor([-math.inf, -50.0, 0.0, 20.5, 800.0], dtype=torch.float64)
    values.requires_grad_()
    result = log1p_exp(values)
    result.sum().backward()
    expected = [0, math.exp(-50), math.log(2), 20.5 + math.log1p(math.exp(-20.5)), 800]
    assert result.tolist() == pytest.approx(expected, rel=1e-15)
    sigmoid = [0, 1 / (1 + math.exp(50)), 0.5, 1 / (1 + math.exp(-20.5)), 1]
    assert values.grad.tolist() == pytest.approx(sigmoid, rel=1e-15)


@pytest.mark.parametrize(
    ("given_type", "computed_in"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_half_precision_is_computed_in_float32(given_type, computed_in):
    values = torch.ones(2, 3, dtype=given_type)
    assert at_least_float32(values).dtype == computed_in
    assert log_sum_exp(values, values > 0).dtype == computed_in


def mean_and_columns_of_a_rank(values, mask):
    shard = slice(2 * dist.get_rank(), 2 * dist.get_rank() + 2)
    return _mean_and_columns(values[shard], mask[shard])


def _mean_and_columns(values, mask):
    values = values.clone().requires_grad_()
    columns = log_sum_exp_over_ranks(values, mask)
    loss = masked_mean(values, mask) + columns[:-1].square().sum()
    loss.backward()
    return loss.detach(), columns.detach(), values.grad


def test_two_ranks_have_the_mean_and_the_columns_of_one_process(run_on_ranks):
    values, mask = random_rows(2, 4, 5)
    mask[:, 0], mask[2:, 1], mask[:, -1] = True, False, False
    mask[0, 1:-1] = True
    loss, columns, grad = _mean_and_columns(values, mask)
    ranks = run_on_ranks(mean_and_columns_of_a_rank, 2, values, mask)
    torch.testing.assert_close((ranks[0][0] + ranks[1][0]) / 2, loss)
    for _, columns_of_rank, _ in ranks:
        torch.testing.assert_close(columns_of_rank, columns)
    torch.testing.assert_close(torch.cat([ranks[0][2], ranks[1][2]]) / 2, grad)


def test_mean_over_ranks_of_nothing_is_0():
    assert mean_over_ranks(torch.tensor(0.0), torch.tensor(0)).item() == 0


@pytest.mark.parametrize(
    ("mask", "all_of_it"),
    [
        (torch.ones(2, 3), True),
        (torch.ones(()).expand(2, 3), True),
        (torch.zeros(()).expand(2, 3), False),
        (torch.tensor([[1], [0]]).expand(2, 3), False),
        (torch.tensor([[1, 1, 0]]).expand(2, 3), False),
        (torch.tensor([[1, 1, 0]]).expand(0, 3), True),
        (torch.ones(2, 0), True),
    ],
)
def test_everywhere_is_all(mask, all_of_it):
    assert everywhere(mask.bool()) is all_of_it is bool(mask.bool().all())


def test_what_is_changed_is_changed_there_alone():
    values, mask = random_rows(3, 4, 6)
    dirty = values.where(mask, torch.nan).requires_grad_()
    changed = changed_where(dirty, mask, torch.exp)
    torch.testing.assert_close(changed[mask], values[mask].exp())
    assert changed[~mask].isnan().all()
    (grad,) = torch.autograd.grad(changed[mask].sum(), dirty)
    torch.testing.assert_close(grad, values.exp().where(mask, 0))


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_where_selected_is_where(share):
    values, _ = random_rows(4, 4, 6)
    mask = torch.rand(4, 6) < share
    found = where_selected(values, mask, -1.0)
    torch.testing.assert_close(found, torch.where(mask, values, -1.0))


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_weights_are_the_derivative_of_the_log_of_the_sum(share):
    values, _ = random_rows(5, 4, 6)
    mask = torch.rand(4, 6) < share
    if share < 1:
        mask[1] = False
    log_sum = log_sum_exp(values.requires_grad_(), mask)
    (expected,) = torch.autograd.grad(log_sum[log_sum > -torch.inf].sum(), values)
    found = log_sum_exp_and_weights(values.detach(), mask)
    torch.testing.assert_close(found, (log_sum.detach(), expected))
