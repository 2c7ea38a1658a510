"""Dense triplets: all that the relevance orders."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.pairs.selection import miner_inputs


class ByRelevance(nn.Module):
    """Keeps the pairs that are in a triplet (a, i, j) with R_ai > R_aj: dense triplets.

        pair (a, i) is kept where another pair (a, j) of the mask has R_aj ≠ R_ai

    The selection is of pairs: losses that take all triplets of a row (`TripletLoss`,
    `LogRatioLoss`) form the triplets themselves, without a list of them. What goes are the anchors
    to which all references are equally relevant. Continuous labels hardly ever tie, and then this
    is `KeepAll`, said in the words of the paper.

    Kim, Seo, Laptev, Cho, Kwak: Deep Metric Learning Beyond Binary Supervision, CVPR 2019,
    arXiv 1904.09626.

    Example:
        >>> relevance = torch.tensor([[1.0, 0.5], [1.0, 1.0]])
        >>> ByRelevance()(torch.zeros(2, 2), relevance, relevance >= 0).tolist()
        [[True, True], [False, False]]
    """

    def forward(
        self,
        similarity: Float[Tensor, "n m"],
        relevance: Float[Tensor, "n m"],
        mask: Bool[Tensor, "n m"],
    ) -> Bool[Tensor, "n m"]:
        """The pairs of anchors with something to rank.

        Raises:
            TypeError: S or R are not floats, or the mask is not Bool.
            ValueError: The three are not of one shape and on one device.
        """
        similarity, relevance, mask = miner_inputs(similarity, relevance, mask)
        if not mask.numel():
            return mask
        highest = torch.where(mask, relevance, -torch.inf).amax(1, keepdim=True)
        lowest = torch.where(mask, relevance, torch.inf).amin(1, keepdim=True)
        return mask & (highest > lowest)
