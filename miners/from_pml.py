"""Miners of pytorch-metric-learning."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ranklight.kernels.checks import check_integers, check_values_are_there
from ranklight.pairs.checks import check_takes_embeddings


class FromPML(nn.Module):
    """The pairs of M that a miner of pytorch-metric-learning keeps, for a loss of ours.

    It takes the embeddings and the references, not S: what distance is is the miner's own business,
    and labels are one class each. Of triplets it keeps all pairs that are in one, as
    pytorch-metric-learning does for its losses of pairs; a loss of theirs takes the triplets
    themselves, as `losses.FromPML(loss, miner)`. On a GPU every step waits for it.

    Needs `pip install ranklight[pml]`.

    Args:
        miner: For example `pytorch_metric_learning.miners.PairMarginMiner()`.

    Raises:
        ValueError: It is not of pytorch-metric-learning.

    Example:
        >>> from pytorch_metric_learning.miners import BatchHardMiner
        >>> z, labels = torch.eye(3), torch.tensor([0, 0, 1])
        >>> mask = ~torch.eye(3, dtype=torch.bool)
        >>> FromPML(BatchHardMiner())(z, labels, z, labels, mask).tolist()
        [[False, True, True], [True, False, True], [False, False, False]]
    """

    takes_vectors = True

    def __init__(self, miner: nn.Module) -> None:
        super().__init__()
        check_takes_embeddings(miner, "miner")
        self.miner = miner

    @torch.no_grad()
    def forward(
        self,
        embeddings: Float[Tensor, "n d"],
        labels: Int[Tensor, " n"],
        references: Float[Tensor, "m d"],
        ref_labels: Int[Tensor, " m"],
        mask: Bool[Tensor, "n m"],
    ) -> Bool[Tensor, "n m"]:
        """The kept pairs.

        Raises:
            TypeError: Labels are not integers.
            ValueError: Tensors hold no values.
        """
        check_integers(labels=labels, ref_labels=ref_labels)
        check_values_are_there(embeddings=embeddings, mask=mask)
        others = () if references is embeddings else (references, ref_labels)
        mined = self.miner(embeddings, labels, *others)
        a, p, b, n = mined if len(mined) == 4 else (*mined[:2], mined[0], mined[2])
        kept = torch.zeros_like(mask)
        kept[a, p] = True
        kept[b, n] = True
        return kept & mask
