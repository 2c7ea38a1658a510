"""Many vectors put on the unit sphere, with a gradient that takes no more memory than they do."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import FunctionCtx

from ranklight.kernels.rowwise import by_rows, refuse_create_graph

_SHORTEST = 1e-12


def unit_vectors(vectors: Float[Tensor, "m d"]) -> Float[Tensor, "m d"]:
    """Each row v as v / ‖v‖, like `torch.nn.functional.normalize`; differentiable once.

    Of u = v / ‖v‖ the gradient g becomes (g − (g·u) u) / ‖v‖, in blocks of rows: autograd's own
    steps hold several tensors as large as all vectors.
    """
    units: Tensor = _UnitVectors.apply(vectors)
    return units


def _along_the_sphere(gradient: Tensor, units: Tensor, lengths: Tensor) -> Tensor:
    radial = (gradient * units).sum(1, keepdim=True)
    return torch.addcmul(gradient, radial, units, value=-1).div_(lengths)


class _UnitVectors(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, vectors: Tensor) -> Tensor:
        lengths = torch.linalg.vector_norm(vectors, dim=1, keepdim=True).clamp_(min=_SHORTEST)
        units: Tensor = vectors / lengths
        ctx.save_for_backward(units, lengths)
        return units

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        refuse_create_graph()
        units, lengths = ctx.saved_tensors
        return by_rows(_along_the_sphere, grads[0], units, lengths)
