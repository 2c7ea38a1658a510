"""No mining."""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.pairs.selection import miner_inputs


class KeepAll(nn.Module):
    """Keeps every pair of the mask: no mining, said out loud.

    Example:
        >>> import torch
        >>> mask = torch.tensor([[False, True]])
        >>> KeepAll()(torch.zeros(1, 2), torch.zeros(1, 2), mask).tolist()
        [[False, True]]
    """

    def forward(
        self,
        similarity: Float[Tensor, "n m"],
        relevance: Float[Tensor, "n m"],
        mask: Bool[Tensor, "n m"],
    ) -> Bool[Tensor, "n m"]:
        """The mask.

        Raises:
            TypeError: S or R are not floats, or the mask is not Bool.
            ValueError: The three are not of one shape and on one device.
        """
        similarity, relevance, mask = miner_inputs(similarity, relevance, mask)
        return mask
