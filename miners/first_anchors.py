"""Anchors that a batch was made around."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_counts
from ranklight.kernels.distributed import rank_and_world_size
from ranklight.pairs.selection import miner_inputs


class FirstAnchors(nn.Module):
    """Keeps the pairs of the first images of the global batch only: these alone are anchors.

        M'_aj = M_aj  where a is one of the first `anchors` rows of the global batch, else False

    With batches of `NearestLabels` and as many anchors as there, this is the one-anchor batch of
    the log-ratio paper (Kim et al., CVPR 2019, arXiv 1904.09626); without it, every image of the
    batch is an anchor (dense). Global row g is row g // w of rank g mod w of w ranks, as our
    samplers share a batch; a rank without such a row keeps nothing, and means that are taken over
    all ranks, as our losses take them, are those of one process.

    Args:
        anchors: How many; larger uses more rows as anchors.

    Raises:
        ValueError: No anchors.

    Example:
        >>> mask = torch.ones(2, 2, dtype=torch.bool)
        >>> FirstAnchors(1)(torch.zeros(2, 2), torch.zeros(2, 2), mask).tolist()
        [[True, True], [False, False]]
    """

    def __init__(self, anchors: int = 1) -> None:
        super().__init__()
        check_counts(anchors=anchors)
        self.anchors = anchors

    def forward(
        self,
        similarity: Float[Tensor, "n m"],
        relevance: Float[Tensor, "n m"],
        mask: Bool[Tensor, "n m"],
    ) -> Bool[Tensor, "n m"]:
        """The pairs of the first rows.

        Raises:
            TypeError: S or R are not floats, or the mask is not Bool.
            ValueError: The three are not of one shape and on one device.
        """
        similarity, relevance, mask = miner_inputs(similarity, relevance, mask)
        rank, ranks = rank_and_world_size()
        row = torch.arange(len(mask), device=mask.device) * ranks + rank
        return mask & (row < self.anchors).unsqueeze(1)
