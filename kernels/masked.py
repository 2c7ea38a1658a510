"""What losses are written with: values, sums and means over the pairs that a mask selects."""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Bool, Float, Shaped
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from ranklight.kernels.distributed import all_gather, all_reduce_sum, in_group
from ranklight.kernels.eager import eager_on_cpu
from ranklight.kernels.packing import where_true
from ranklight.kernels.sortable_bits import bits_of

_WIDE = (torch.float32, torch.float64)
_SMALLEST_EXPONENT = {torch.float32: -60.0, torch.float64: -600.0}


def masked_where(
    values: Float[Tensor, "n m"], mask: Shaped[Tensor, "n m"], otherwise: float = 0.0
) -> Float[Tensor, "n m"]:
    """Values where the mask is True and `otherwise` elsewhere, whatever stands there; no autograd.

    On CPU by their bits: `torch.where` branches, and is ten times slower on a mask without pattern.
    A mask that is used several times may be `prepared` once.
    """
    if not eager_on_cpu(values):
        return torch.where(mask, values, otherwise)
    bits = bits_of(values)
    if otherwise == 0:
        if mask.dtype == torch.bool:
            return prepared(mask, values).bitwise_and_(bits).view(values.dtype)
        return mask.bitwise_and(bits).view(values.dtype)
    # XOR twice with the same bits is nothing: (v ^ fill) ^ fill = v where the mask keeps v ^ fill,
    # and 0 ^ fill = fill where it does not.
    fill = bits_of(torch.tensor(otherwise, dtype=values.dtype))
    all_ones = prepared(mask, values) if mask.dtype == torch.bool else mask
    return (bits ^ fill).bitwise_and_(all_ones).bitwise_xor_(fill).view(values.dtype)


def prepared(mask: Bool[Tensor, "n m"], values: Float[Tensor, "n m"]) -> Shaped[Tensor, "n m"]:
    """A mask as `masked_where` uses it on such values: on the CPU all ones, or all zeros."""
    if not eager_on_cpu(values):
        return mask
    # True is 1, and −1 is all ones: AND keeps a value whole or leaves 0, the bits of 0.0, also
    # where a NaN stands, which a product with the mask would not.
    return mask.view(torch.int8).neg().to(bits_of(values).dtype)


def everywhere(mask: Bool[Tensor, "*shape"]) -> bool:
    """Whether a mask selects all, where looking costs no wait; else False.

    One that was expanded, as that of class centers, holds one value for many: that is looked at.
    """
    if not eager_on_cpu(mask):
        return False
    for axis, step in enumerate(mask.stride()):
        mask = mask if step else mask.narrow(axis, 0, min(1, mask.shape[axis]))
    return bool(mask.all())


def where_selected(
    values: Float[Tensor, "*shape"], mask: Bool[Tensor, "*shape"], otherwise: float
) -> Float[Tensor, "*shape"]:
    """`torch.where(mask, values, otherwise)`, spared where the mask is everywhere."""
    return values if everywhere(mask) else torch.where(mask, values, otherwise)


def changed_where(
    values: Float[Tensor, "n m"],
    mask: Bool[Tensor, "n m"],
    change: Callable[[Tensor], Tensor],
) -> Float[Tensor, "n m"]:
    """`change(values)` where the mask is True and values elsewhere, whatever stands there.

    On the CPU only what is selected is computed, which of class centers is one a row.

    Args:
        values: What is changed.
        mask: Where.
        change: Of each element for itself.
    """
    if not eager_on_cpu(values):
        return torch.where(mask, change(torch.where(mask, values, 0)), values)
    changed: Tensor = _Changed.apply(values, change, *where_true(mask))
    return changed


def masked_mean(values: Float[Tensor, "*shape"], mask: Bool[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Mean of the values where the mask is True; 0 with zero gradient where it nowhere is."""
    total = torch.where(mask, values, 0).sum(dtype=_at_least_float32(values.dtype))
    return mean_over_ranks(total, mask.sum())


def mean_over_ranks(total: Float[Tensor, ""], count: Shaped[Tensor, ""]) -> Float[Tensor, ""]:
    """Total / count, such that the average over ranks is the mean over all of them.

    The count is summed over ranks and divided by their number: when Lightning averages the
    gradients of the ranks, each selected element weighs the same wherever it was selected.
    """
    count = count.to(total.dtype)
    if in_group():
        count = all_reduce_sum(count) / dist.get_world_size()
    return total / torch.where(count > 0, count, 1)


def sum_over_ranks(total: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """A total, such that the average over ranks is the sum over all of them."""
    if in_group():
        return total * dist.get_world_size()
    return total


def log_sum_exp(exponents: Float[Tensor, "n m"], mask: Bool[Tensor, "n m"]) -> Float[Tensor, " n"]:
    """Log Σ_{j: mask} e^{x_ij} for each row; −∞ with zero gradient for an empty one.

    In float32 or wider, one tensor kept for the gradient. Exponents are shifted by the row's
    maximum and clamped before exp: it is many times slower on arguments that underflow, and what
    the clamp changes is below the last bit.
    """
    result: Tensor = _LogSumExp.apply(at_least_float32(exponents), mask)
    return result


def log_sum_exp_and_weights(
    exponents: Float[Tensor, "n m"], mask: Bool[Tensor, "n m"]
) -> tuple[Float[Tensor, " n"], Float[Tensor, "n m"]]:
    """Log Σ_{j: mask} e^{x_ij} and e^{x_ij} / Σ e^x, its derivative; no autograd."""
    log_sum, terms, total = _exponentials(exponents, mask)
    return log_sum, terms.div_(total.clamp(min=1))


def log1p_sum_exp(
    exponents: Float[Tensor, "n m"], mask: Bool[Tensor, "n m"]
) -> Float[Tensor, " n"]:
    """log(1 + Σ_{j: mask} e^{x_ij}) for each row; 0 with zero gradient for an empty one."""
    return log1p_exp(log_sum_exp(exponents, mask))


def log1p_sum_exp_and_weights(
    exponents: Float[Tensor, "n m"], mask: Bool[Tensor, "n m"]
) -> tuple[Float[Tensor, " n"], Float[Tensor, "n m"]]:
    """log(1 + Σ_{j: mask} e^{x_ij}) and e^{x_ij} / (1 + Σ e^x), its derivative; no autograd."""
    mask = prepared(mask, exponents)
    terms = masked_where(exponents, mask)
    largest = terms.amax(1, keepdim=True).clamp(min=0)
    terms.sub_(largest).clamp_(min=_SMALLEST_EXPONENT[terms.dtype]).exp_()
    terms = masked_where(terms, mask)
    total = terms.sum(1, keepdim=True).add_((-largest).exp())
    return (largest + total.log()).squeeze(1), terms.div_(total)


def log1p_exp(exponents: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """log(1 + e^x), also at x = −∞, and exact where `F.softplus` returns x itself (x > 20)."""
    return torch.logaddexp(exponents, exponents.new_zeros(()))


def log_sum_exp_over_ranks(
    exponents: Float[Tensor, "n m"], mask: Bool[Tensor, "n m"]
) -> Float[Tensor, " m"]:
    """Log Σ_{i: mask} e^{x_ij} for each column, over the rows of all ranks; −∞ for an empty one.

    With gradient on every rank: when each rank takes the same loss of it and Lightning averages the
    gradients of the ranks, every row has the gradient that one process would give it.
    """
    columns = log_sum_exp(exponents.T, mask.T)
    if not in_group():
        return columns
    shards = all_gather(columns).T
    return log_sum_exp(shards, shards > -torch.inf)


def at_least_float32(values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Half precision as float32; float32 and float64 as they are."""
    if values.dtype in _WIDE:
        return values
    return values.to(_at_least_float32(values.dtype))


def _at_least_float32(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def _exponentials(exponents: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Log Σ e^x of each row, with e^{x − max x}, 0 where masked, and the sum of those."""
    smallest = _SMALLEST_EXPONENT[exponents.dtype]
    if exponents.shape[1] and everywhere(mask):
        largest = exponents.amax(1, keepdim=True)
        terms = (exponents - largest).clamp_(min=smallest).exp_()
    else:
        terms = masked_where(exponents, mask, -torch.inf)
        largest = terms.amax(1, keepdim=True).clamp_(min=torch.finfo(terms.dtype).min)
        terms.sub_(largest).clamp_(min=smallest).exp_()
        # What is masked stands at e^smallest now. It goes with all that is as small, which no sum
        # with the row's largest term, 1, can tell from 0.
        torch.threshold_(terms, math.exp(smallest + 1), 0)
    total = terms.sum(1, keepdim=True)
    return (largest + total.log()).squeeze(1), terms, total


class _Changed(torch.autograd.Function):
    """y = x, but f(x) at some places; there the gradient is multiplied by f'(x)."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, values: Tensor, change: Callable[[Tensor], Tensor], *places: Tensor
    ) -> Tensor:
        with torch.enable_grad():
            own = values.detach()[places].requires_grad_()
            new = change(own)
            (slope,) = torch.autograd.grad(new, own, torch.ones_like(new))
        ctx.save_for_backward(slope, *places)
        return values.index_put(places, new.detach())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        slope, *places = ctx.saved_tensors
        at = tuple(places)
        return grads[0].index_put(at, grads[0][at] * slope), None, *(None for _ in places)


class _LogSumExp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, exponents: Tensor, mask: Tensor) -> Tensor:
        log_sum, terms, total = _exponentials(exponents, mask)
        ctx.save_for_backward(terms, total)
        return log_sum

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        # The derivative is the softmax, terms / total; of an empty row, whose total is 0, it is 0.
        terms, total = ctx.saved_tensors
        return grads[0].unsqueeze(1).div(total.clamp(min=1)) * terms, None
