"""How far log ratios of two kinds of distances differ, over all pairs of a row in O(m) or a sort.

With x_i = log(√d_i / y_i) the log ratio of a pair i, j in d less that in y is x_i − x_j, and over n
values

    Σ_{i<j} (x_i − x_j)² = n Σ_i (x_i − mean)²,    derivative by x_i:  2 n (x_i − mean)

To leave out ties, that is one such sum for each set T of equal ones less. With the mean of the
own set, x_i − mean = (x_i − mean_T) + (mean_T − mean), and the two parts are orthogonal over T:

    n Σ (x_i − mean)² − Σ_T |T| Σ_T (x_i − mean_T)²
      = Σ_i (n − |T_i|) (x_i − mean_T)² + n Σ_i (mean_T − mean)²

where nothing cancels: if all is tied the result is 0, not the difference of two large sums. Its
derivative by x_i is 2 [n (x_i − mean) − |T_i| (x_i − mean_T)].
"""

from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ranklight.kernels.masked import masked_where, prepared
from ranklight.kernels.orders import dense_ranks
from ranklight.kernels.rowwise import with_derivative


def squared_log_ratios(
    similarity: Float[Tensor, "n m"],
    relevance: Float[Tensor, "n m"],
    selected: Bool[Tensor, "n m"],
    *,
    keep_ties: bool,
    epsilon: float,
    label_epsilon: float,
) -> tuple[Float[Tensor, " n"], Int[Tensor, " n"]]:
    """Of each row Σ_{i<j} [log(D_i / D_j) − log(Y_i / Y_j)]².

    D = √(max(0, 2 − 2S) + ε) and Y = max(0, 1 − R) + ε_y.

    Args:
        similarity: S.
        relevance: R.
        selected: The references that i and j are of.
        keep_ties: Also count pairs i, j of equal relevance.
        epsilon: ε.
        label_epsilon: ε_y, above 0.

    Returns:
        Of each row the sum, differentiable once, and the number of pairs in it.
    """
    kernel = partial(_kernel, keep_ties=keep_ties, epsilon=epsilon, label_epsilon=label_epsilon)
    cost, pairs = with_derivative(kernel, similarity, relevance, selected)
    return cost, pairs


def _kernel(
    similarity: Tensor,
    relevance: Tensor,
    selected: Tensor,
    *,
    keep_ties: bool,
    epsilon: float,
    label_epsilon: float,
) -> tuple[Tensor, Tensor, Tensor]:
    squared = similarity.mul(-2).add_(2).clamp_(min=0).add_(epsilon)
    distance = relevance.neg().add_(1).clamp_(min=0).add_(label_epsilon)
    mask = prepared(selected, squared)
    ratio = masked_where(squared.sqrt().div_(distance).log_(), mask)
    count = selected.sum(1)
    number = count.unsqueeze(1).to(ratio.dtype)
    excess = masked_where(ratio - ratio.sum(1, keepdim=True) / number.clamp(min=1), mask)
    if keep_ties:
        cost = number.squeeze(1) * torch.linalg.vecdot(excess, excess)
        slope = excess.mul_(number)
        pairs = count * (count - 1) // 2
    else:
        ties, within = _of_ties(ratio, relevance, selected)
        tied = ties.to(ratio.dtype)
        between = number * (excess - within).square()
        cost = ((number - tied) * within.square() + between).sum(1)
        slope = number * excess - tied * within
        pairs = (count.square() - ties.sum(1)) // 2
    # ∂x/∂S = −1 / (2 − 2S + ε), and 0 where S ≥ 1. There duplicates meet: the true gradient by
    # their embeddings is 0, but 1/ε would leave the rounding error of their difference.
    derivative = masked_where(slope.div_(squared).mul_(-2), selected & (similarity < 1))
    return derivative, cost, pairs


def _of_ties(ratio: Tensor, values: Tensor, selected: Tensor) -> tuple[Tensor, Tensor]:
    """How many of the row's references have this value, and the difference to their mean."""
    rank = dense_ranks(values, selected)
    number = torch.zeros_like(rank).scatter_add_(1, rank, selected.long())
    total = torch.zeros_like(ratio).scatter_add_(1, rank, ratio)
    mean = total.div_(number.clamp(min=1)).gather(1, rank)
    return number.gather(1, rank), masked_where(ratio - mean, selected)
