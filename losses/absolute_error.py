"""How far predicted numbers are off."""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.masked import masked_mean
from ranklight.pairs.selection import loss_inputs


class AbsoluteErrorLoss(nn.Module):
    """The mean absolute error of predictions S of numbers R: L1 regression.

        L = mean of |S_ij − R_ij|

    over all selected numbers. As the logits of a classifier are its S, one column a class, and the
    targets its R, so are the predictions of a regressor and the labels, one column a number:
    `pairs.Regression`. The baseline of losses for continuous labels in Rank-N-Contrast (Zha, Cao,
    Son, Yang, Katabi, NeurIPS 2023, arXiv 2210.01189) and RankSim (Gong, Mori, Tung, ICML 2022,
    arXiv 2205.15236).

    Example:
        >>> import torch
        >>> predictions, numbers = torch.tensor([[0.5, 2.0]]), torch.tensor([[0.0, 3.5]])
        >>> AbsoluteErrorLoss()(predictions, numbers, numbers >= 0)  # (½ + 3/2) / 2
        tensor(1.)
    """

    def forward(
        self,
        similarity: Float[Tensor, "n m"],
        relevance: Float[Tensor, "n m"],
        selection: Bool[Tensor, "n m"],
    ) -> Float[Tensor, ""]:
        """Loss of a selection of numbers.

        Raises:
            TypeError: S or R are not floats, or the selection is not of pairs (Bool).
            ValueError: The three are not of one shape and on one device.
        """
        similarity, relevance, selection = loss_inputs(similarity, relevance, selection)
        return masked_mean((similarity - relevance).abs(), selection)
