"""How differently S and R order a row, with the gradient of a solver that is taken for a black box.

Ranks are constant but for jumps, so their derivative says nothing. Vlastelica, Paulus, Musil,
Martius, Rolínek, ICLR 2020, take that of a function which is linear between two rankings: of the
scores s, and of the scores moved by λ against what the loss ℓ asks of their ranks,

    ∂ℓ/∂s ≈ −(rk(s) − rk(s + λ g)) / λ,    g = ∂ℓ/∂rk(s)

with rk = 1 for the largest. Here ℓ = 1/m Σ (rk_j(S) − rk_j(R))² / m² over the m selected of a row,
so that g_j = 2 (rk_j(S) − rk_j(R)) / m² for ranks, 1 .. m, that are divided by m. λ acts on the
row's own cost and not on what it is multiplied by later: how a loss is weighted, averaged over
processes or scaled for half precision must not decide where the second ranking is taken.
"""

from functools import partial

from jaxtyping import Bool, Float
from torch import Tensor

from ranklight.kernels.orders import mean_ranks
from ranklight.kernels.rowwise import with_derivative


def squared_rank_differences(
    similarity: Float[Tensor, "n m"],
    relevance: Float[Tensor, "n m"],
    selected: Bool[Tensor, "n m"],
    *,
    interpolation: float,
) -> Float[Tensor, " n"]:
    """Of each row the mean of (rk_j(S) − rk_j(R))² / m² over its m selected references.

    Equal ones share the mean of their ranks. With the gradient above, once.

    Args:
        similarity: S.
        relevance: R.
        selected: The references that are ranked.
        interpolation: λ.
    """
    kernel = partial(_kernel, interpolation=interpolation)
    (cost,) = with_derivative(kernel, similarity, relevance, selected)
    return cost


def _kernel(
    similarity: Tensor, relevance: Tensor, selected: Tensor, interpolation: float
) -> tuple[Tensor, Tensor]:
    # Ranks from the smallest, m + 1 − rk, have the opposite sign in each difference.
    number = selected.sum(1, keepdim=True).clamp(min=1)
    found, wanted = mean_ranks(similarity, selected), mean_ranks(relevance, selected)
    difference = ((found - wanted) / number).to(similarity.dtype)
    cost = difference.square().sum(1) / number.squeeze(1)
    against = difference.mul_(-2 * interpolation).div_(number)
    moved = mean_ranks(similarity + against, selected)
    derivative = (found - moved).to(similarity.dtype) / (interpolation * number)
    return derivative, cost
