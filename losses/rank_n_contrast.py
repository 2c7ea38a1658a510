"""Contrast with what is farther by continuous label."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_not_negative, check_positive
from ranklight.kernels.distances import distances
from ranklight.kernels.masked import masked_mean
from ranklight.kernels.orders import ascending
from ranklight.pairs.selection import loss_inputs


class RankNContrastLoss(nn.Module):
    """Each reference should be the one picked among itself and those whose labels are no closer.

        L = mean over (a, i) of  −log( e^{−D_ai/τ} / Σ_{k: R_ak ≤ R_ai} e^{−D_ak/τ} )
        D = √(‖z_a − r‖² + ε) = √(2 − 2S + ε)

    over the selected pairs; k runs over the selected references of a, i and its ties included. Rows
    are sorted by relevance once: O(m log m) a row, and no table of m × m.

    Zha, Cao, Son, Yang, Katabi: Rank-N-Contrast, NeurIPS 2023, arXiv 2210.01189; τ = 2 is the
    released code's, which pairs with `LabelCloseness(p=1)` and two views of each image. It has no
    ε, and a table of m × m for each anchor.

    Args:
        temperature: τ, in distance; smaller looks at the closest wrong reference only.
        epsilon: ε, in squared distance; larger bounds the gradient at duplicates.

    Example:
        >>> similarity, relevance = torch.tensor([[0.5, 0.5]]), torch.tensor([[1.0, 0.0]])
        >>> RankNContrastLoss()(similarity, relevance, relevance >= 0)  # (−log ½ − log 1) / 2
        tensor(0.3466)
    """

    def __init__(self, temperature: float = 2.0, epsilon: float = 1e-6) -> None:
        super().__init__()
        check_positive(temperature=temperature)
        check_not_negative(epsilon=epsilon)
        self.temperature = temperature
        self.epsilon = epsilon

    def forward(
        self,
        similarity: Float[Tensor, "n m"],
        relevance: Float[Tensor, "n m"],
        selection: Bool[Tensor, "n m"],
    ) -> Float[Tensor, ""]:
        """Loss of a selection of pairs.

        Raises:
            TypeError: S or R are not floats, or the selection is not of pairs (Bool).
            ValueError: The three are not of one shape and on one device.
        """
        similarity, relevance, selection = loss_inputs(similarity, relevance, selection)
        order = ascending(relevance, torch.zeros_like(selection), selection)
        distance = distances(similarity, selection, self.epsilon)
        logits = (-distance / self.temperature).gather(1, order)
        up_to_ties = _last_of_ties(torch.where(selection, relevance, torch.inf).gather(1, order))
        cost = logits.logcumsumexp(1).gather(1, up_to_ties) - logits
        return masked_mean(cost, selection.gather(1, order))


def _last_of_ties(ordered: Float[Tensor, "n m"]) -> Tensor:
    """For each position of ascending rows the last one with an equal value."""
    m = ordered.shape[1]
    position = torch.arange(m, device=ordered.device).expand_as(ordered)
    ends = torch.ones_like(ordered, dtype=torch.bool)
    ends[:, :-1] = ordered[:, 1:] > ordered[:, :-1]
    return torch.where(ends, position, m).flip(1).cummin(1).values.flip(1)
