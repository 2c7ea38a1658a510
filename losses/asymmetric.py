"""Binary cross-entropy for many labels of which few apply."""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_not_negative
from ranklight.kernels.masked import masked_mean, sum_over_ranks
from ranklight.pairs.selection import loss_inputs, positive_pairs


class AsymmetricLoss(nn.Module):
    """Binary cross-entropy that looks away from easy labels, more so from easy negatives.

        p = sigmoid(S),  p_m = max(p − m, 0)
        ℓ_ij = −(1 − p)^γ⁺ log p for positives (R > 0),  −p_m^γ⁻ log(1 − p_m) for negatives

        average="sum":    Σ_ij ℓ_ij over the (global) batch: its scale grows with it
        average="pairs":  mean of ℓ over all selected labels

    Ridnik, Ben-Baruch, Zamir, Noy, Friedman, Protter, Zelnik-Manor: Asymmetric Loss For Multi-Label
    Classification, ICCV 2021, arXiv 2009.14119. Defaults are those of the released class, which
    sums; the released training script sets γ⁺ = 0. The focusing weights carry gradient, as in the
    paper's analysis; the released class stops it by default, and so does its training script:
    `focus_has_gradient=False`. Logarithms are taken of the logits and
    not of probabilities clamped at 1e-8, so a confident mistake keeps its gradient.

    Args:
        positive_focus: γ⁺; larger ignores more of the positives that score high already.
        negative_focus: γ⁻; larger ignores more of the negatives that score low already.
        clip: m, 0..1; negatives below this probability cost nothing.
        average: What the sum is divided by, see above.
        focus_has_gradient: Whether the weights (1 − p)^γ⁺ and p_m^γ⁻ are differentiated, too; False
            takes them as constants, as the released training does.

    Example:
        >>> similarity, relevance = torch.tensor([[0.0, -3.0]]), torch.tensor([[1.0, 0.0]])
        >>> AsymmetricLoss()(similarity, relevance, relevance >= 0)  # ½ log 2, and an easy one: 0
        tensor(0.3466)
    """

    def __init__(
        self,
        positive_focus: float = 1.0,
        negative_focus: float = 4.0,
        clip: float = 0.05,
        average: Literal["sum", "pairs"] = "sum",
        focus_has_gradient: bool = True,
    ) -> None:
        super().__init__()
        check_not_negative(positive_focus=positive_focus, negative_focus=negative_focus, clip=clip)
        self.positive_focus = positive_focus
        self.negative_focus = negative_focus
        self.clip = clip
        self.average = average
        self.focus_has_gradient = focus_has_gradient

    def forward(
        self,
        similarity: Float[Tensor, "n m"],
        relevance: Float[Tensor, "n m"],
        selection: Bool[Tensor, "n m"],
    ) -> Float[Tensor, ""]:
        """Loss of a selection of labels.

        Raises:
            TypeError: S or R are not floats, or the selection is not of pairs (Bool).
            ValueError: The three are not of one shape and on one device.
        """
        similarity, relevance, selection = loss_inputs(similarity, relevance, selection)
        positive = positive_pairs(relevance, selection)
        kind = positive.to(similarity.dtype)
        similarity = torch.where(selection, similarity, 0)
        right = torch.where(positive, similarity, -similarity)
        shift = self.clip * (1 - kind)
        focus = self.positive_focus * kind + self.negative_focus * (1 - kind)
        # Not 0, at which 0^γ has an infinite slope for γ < 1.
        wrong = ((-right).sigmoid() - shift).clamp(min=torch.finfo(shift.dtype).tiny)
        # 1 − p for positives and 1 − max(p − m, 0) = min((1 − p) + m, 1) for negatives, where 1 − p
        # is the sigmoid of −S: of both the logarithm of σ(right) + shift, at most 0. A positive's
        # shift is 0, whose logarithm −∞ adds nothing. By logarithms a sigmoid that rounds to 0
        # keeps its value and gradient.
        weight = wrong**focus if self.focus_has_gradient else (wrong**focus).detach()
        cost = -weight * torch.logaddexp(F.logsigmoid(right), shift.log()).clamp(max=0)
        if self.average == "pairs":
            return masked_mean(cost, selection)
        return sum_over_ranks(torch.where(selection, cost, 0).sum())
