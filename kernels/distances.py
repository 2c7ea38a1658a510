"""Euclidean distances, from similarities S = 1 − ½‖z − r‖².

D = √(max(0, 2 − 2S) + ε) has the derivative ∂D/∂S = −1 / D, which ε bounds by 1/√ε. Where S ≥ 1,
at duplicates, it is 0, as the derivative by the vectors is there.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from ranklight.kernels.masked import masked_where


def distances(
    similarity: Float[Tensor, "n m"], selected: Bool[Tensor, "n m"], epsilon: float
) -> Float[Tensor, "n m"]:
    """√(‖z − r‖² + ε) of the selected pairs, and √ε with derivative 0 elsewhere.

    Args:
        similarity: S.
        selected: Which pairs count, whatever stands elsewhere.
        epsilon: ε, in squared distance.
    """
    result: Tensor = _Distances.apply(similarity, selected, epsilon)
    return result


class _Distances(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, similarity: Tensor, selected: Tensor, epsilon: float) -> Tensor:
        squared = masked_where(similarity, selected, 1.0).mul_(-2).add_(2).clamp_(min=0)
        distance = (squared + epsilon).sqrt_()
        smallest = torch.finfo(distance.dtype).tiny
        ctx.save_for_backward(squared.sign_().neg_().div_(distance.clamp(min=smallest)))
        return distance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (derivative,) = ctx.saved_tensors
        return derivative * grads[0], None, None
