"""Costs that pull a row's positives up and push its negatives down, with their derivative.

A positive costs less when it is more similar and a negative when it is less, so of each pair at
most one of ∂pull/∂S ≤ 0 and ∂push/∂S ≥ 0 is not 0: one matrix holds both, and its signs tell them
apart. That is half the memory of two derivatives, and in each pass half the work.
"""

from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd.function import FunctionCtx

from ranklight.kernels.masked import log1p_sum_exp_and_weights, masked_where
from ranklight.kernels.rowwise import Kernel, by_rows, refuse_create_graph, run_in_blocks


def log_sum_exp_pull_push(
    similarity: Float[Tensor, "n m"],
    positive: Bool[Tensor, "n m"],
    negative: Bool[Tensor, "n m"],
    *,
    alpha: float,
    beta: float,
    base: float,
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Of each row log(1 + Σ_{j ∈ P} e^{−α (S_j − λ)}) and log(1 + Σ_{j ∈ N} e^{β (S_j − λ)}).

    Each is differentiable once.

    Args:
        similarity: S.
        positive: P of each row.
        negative: N of each row, without any of P.
        alpha: α.
        beta: β.
        base: λ.
    """
    kernel = partial(_log_sum_exp, alpha=alpha, beta=beta, base=base)
    return _pull_push(kernel, similarity, positive, negative)


def hinge_pull_push(
    similarity: Float[Tensor, "n m"],
    positive: Bool[Tensor, "n m"],
    negative: Bool[Tensor, "n m"],
    *,
    positive_margin: float,
    negative_margin: float,
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Of each row Σ_{j ∈ P} max(0, m⁺ − S_j) and Σ_{j ∈ N} max(0, S_j − m⁻).

    Each is differentiable once.

    Args:
        similarity: S.
        positive: P of each row.
        negative: N of each row, without any of P.
        positive_margin: m⁺.
        negative_margin: m⁻.
    """
    kernel = partial(_hinge, positive_margin=positive_margin, negative_margin=negative_margin)
    return _pull_push(kernel, similarity, positive, negative)


def _log_sum_exp(
    similarity: Tensor, positive: Tensor, negative: Tensor, alpha: float, beta: float, base: float
) -> tuple[Tensor, Tensor, Tensor]:
    # The derivative of log(1 + Σ e^x) is w = e^x / (1 + Σ e^x), the weights that come with the
    # value; by the chain rule −α w at positives and β w at negatives.
    excess = similarity - base
    pull, pull_weight = log1p_sum_exp_and_weights(-alpha * excess, positive)
    push, push_weight = log1p_sum_exp_and_weights(beta * excess, negative)
    return push_weight.mul_(beta).sub_(pull_weight, alpha=alpha), pull, push


def _hinge(
    similarity: Tensor,
    positive: Tensor,
    negative: Tensor,
    positive_margin: float,
    negative_margin: float,
) -> tuple[Tensor, Tensor, Tensor]:
    pull = masked_where((positive_margin - similarity).relu_(), positive)
    push = masked_where((similarity - negative_margin).relu_(), negative)
    costs = pull.sum(1), push.sum(1)
    # −1 where a positive pays, 1 where a negative does, 0 elsewhere. No pair pays as both, so that
    # is the sign of push − pull, written over push now that its sum is taken.
    return push.sub_(pull).sign_(), *costs


def _pull_push(
    kernel: Kernel, similarity: Tensor, positive: Tensor, negative: Tensor
) -> tuple[Tensor, Tensor]:
    derivative, pull, push = run_in_blocks(
        kernel, similarity, (positive, negative), similarity.shape[1]
    )
    both: tuple[Tensor, Tensor] = _PullPush.apply(similarity, pull, push, derivative)
    return both


def _scaled(derivative: Tensor, pull: Tensor, push: Tensor) -> Tensor:
    of_positives, of_negatives = derivative.clamp(max=0), derivative.clamp(min=0)
    return of_positives.mul_(pull).addcmul_(of_negatives, push)


class _PullPush(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx, similarity: Tensor, pull: Tensor, push: Tensor, derivative: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(derivative)
        return pull.clone(), push.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        refuse_create_graph()
        (derivative,) = ctx.saved_tensors
        pull, push = (grad.unsqueeze(1) for grad in grads)
        return by_rows(_scaled, derivative, pull, push), None, None, None
