"""Pairs that are hard against the hardest of the other kind."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_finite
from ranklight.kernels.masked import masked_where
from ranklight.kernels.rowwise import by_rows
from ranklight.pairs.selection import miner_inputs, split


class MultiSimilarityMiner(nn.Module):
    """Keeps the pairs that are hard against the hardest pair of the other kind.

        negative j of anchor i:  S_ij > min_{k ∈ P_i} S_ik − ε
        positive j of anchor i:  S_ij < max_{k ∈ N_i} S_ik + ε

    An anchor without positives keeps no negatives and the other way round; after mining either
    both kinds are left or neither is. ε is for similarities of unit vectors.

    Wang et al., CVPR 2019, arXiv 1904.06627; ε = 0.1 as in the paper. The released code first drops
    pairs with a similarity above 1 − 1e-5; here only the mask says which pairs count.

    Args:
        epsilon: ε; larger keeps more pairs.

    Example:
        >>> similarity = torch.tensor([[0.5, 0.6, 0.3]])
        >>> relevance = torch.tensor([[1.0, 0.0, 0.0]])
        >>> MultiSimilarityMiner()(similarity, relevance, relevance >= 0).tolist()  # 0.3 is easy
        [[True, True, False]]
    """

    wants_unit_vectors = True

    def __init__(self, epsilon: float = 0.1) -> None:
        super().__init__()
        check_finite(epsilon=epsilon)
        self.epsilon = epsilon

    def forward(
        self,
        similarity: Float[Tensor, "n m"],
        relevance: Float[Tensor, "n m"],
        mask: Bool[Tensor, "n m"],
    ) -> Bool[Tensor, "n m"]:
        """The informative pairs of the mask.

        Raises:
            TypeError: S or R are not floats, or the mask is not Bool.
            ValueError: The three are not of one shape and on one device.
        """
        similarity, relevance, mask = miner_inputs(similarity, relevance, mask)
        if not mask.numel():
            return mask
        return by_rows(self._informative, similarity, relevance, mask)

    def _informative(self, similarity: Tensor, relevance: Tensor, mask: Tensor) -> Tensor:
        positive, negative = split(relevance, mask)
        hardest_positive = masked_where(similarity, positive, torch.inf).amin(1, keepdim=True)
        hardest_negative = masked_where(similarity, negative, -torch.inf).amax(1, keepdim=True)
        return (negative & (similarity > hardest_positive - self.epsilon)) | (
            positive & (similarity < hardest_negative + self.epsilon)
        )
