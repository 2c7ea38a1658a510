"""Losses of pytorch-metric-learning."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ranklight.kernels.checks import check_integers, check_values_are_there
from ranklight.pairs.checks import check_takes_embeddings


class FromPML(nn.Module):
    """Any loss of pytorch-metric-learning as the loss of an `Objective`, with a miner of theirs.

        Objective(FromPML(loss))(embeddings, labels)        = loss(embeddings, labels)
        Objective(FromPML(loss, miner))(embeddings, labels) = loss(embeddings, labels,
                                                                   miner(embeddings, labels))

    It takes the embeddings and the references, not S and R: what distance is, whether vectors are
    normalised and who is positive are the loss's own business, and labels are one class each. A
    miner of ours, or references other than the batch, narrow the pairs, which such a loss is then
    told by their indices; one that takes none, no references or no labels, says so. What learns in
    it (class centers, thresholds) is a parameter of the objective.

    On several ranks a rank's value is that of its own anchors against the references of all, and
    gradients are averaged over ranks, as by pytorch-metric-learning's own wrapper: means over
    pairs, of which ranks select different numbers, are not those of one process. Selections are
    lists of indices there, so on a GPU every step waits for it.

    Needs `pip install ranklight[pml]`.

    Args:
        loss: For example `pytorch_metric_learning.losses.CircleLoss()`.
        miner: For example `pytorch_metric_learning.miners.AngularMiner()`.

    Raises:
        ValueError: One of them is not of pytorch-metric-learning.

    Example:
        >>> from pytorch_metric_learning.losses import CircleLoss
        >>> from ranklight.pairs import Objective
        >>> embeddings, labels = torch.eye(4), torch.tensor([0, 0, 1, 1])
        >>> ours = Objective(FromPML(CircleLoss()))(embeddings, labels)
        >>> torch.equal(ours, CircleLoss()(embeddings, labels))
        True
    """

    takes_vectors = True

    def __init__(self, loss: nn.Module, miner: nn.Module | None = None) -> None:
        super().__init__()
        check_takes_embeddings(loss, "loss")
        if miner is not None:
            check_takes_embeddings(miner, "miner")
        self.loss = loss
        self.miner = miner

    def forward(
        self,
        embeddings: Float[Tensor, "n d"],
        labels: Int[Tensor, " n"],
        references: Float[Tensor, "m d"],
        ref_labels: Int[Tensor, " m"],
        selection: Bool[Tensor, "n m"],
    ) -> Float[Tensor, ""]:
        """Loss of a selection of pairs.

        Raises:
            TypeError: Labels are not integers, or the selection is not of pairs.
            ValueError: Tensors hold no values.
        """
        check_integers(labels=labels, ref_labels=ref_labels)
        check_values_are_there(embeddings=embeddings, selection=selection)
        if selection.dtype != torch.bool:
            raise TypeError(
                "FromPML takes pairs, a Bool selection; give triplet miners of pytorch-metric-"
                f"learning to FromPML itself; got {selection.dtype}"
            )
        others = () if references is embeddings else (references, ref_labels)
        if self.miner is not None:
            mined = self.miner(embeddings, labels, *others)
            return self._of(embeddings, labels, _selected(mined, selection), *others)
        if not others and (selection | _diagonal(selection)).all():
            return self._of(embeddings, labels, None)
        same = labels.unsqueeze(1) == ref_labels
        pairs = (*torch.where(selection & same), *torch.where(selection & ~same))
        return self._of(embeddings, labels, pairs, *others)

    def _of(
        self,
        embeddings: Tensor,
        labels: Tensor,
        indices: tuple[Tensor, ...] | None,
        *others: Tensor,
    ) -> Tensor:
        loss: Tensor = self.loss(embeddings, labels, indices, *others)
        return loss


def _diagonal(selection: Tensor) -> Tensor:
    return torch.eye(len(selection), dtype=torch.bool, device=selection.device)


def _selected(mined: tuple[Tensor, ...], selection: Tensor) -> tuple[Tensor, ...]:
    """Of triplets (a, p, n), or of pairs (a, p) and (b, n), those whose pairs are all selected."""
    if len(mined) == 3:
        a, p, n = mined
        kept = selection[a, p] & selection[a, n]
        return a[kept], p[kept], n[kept]
    a, p, b, n = mined
    positive, negative = selection[a, p], selection[b, n]
    return a[positive], p[positive], b[negative], n[negative]
