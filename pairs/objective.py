"""A method is four free choices: references × relevance × miner × loss."""

from typing import NamedTuple

from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from ranklight.pairs.compare import pairs_with
from ranklight.pairs.references import InBatch, References
from ranklight.pairs.relevance import SameClass


class ObjectiveOutput(NamedTuple):
    """A loss and what it was computed from."""

    loss: Float[Tensor, ""]
    mined_fraction: Float[Tensor, ""]
    """Share of the pairs that the miner kept, 0..1."""
    memory_mined_fraction: Float[Tensor, ""] | None = None
    """The same for the references of a memory, where there is one."""


class Objective(nn.Module):
    """What an encoder is trained for: `objective(embeddings, labels)` is a scalar to minimise.

        S, R, M = compare(embeddings, labels, references, relevance)
        loss(S, R, miner(S, R, M))

    References from a memory (`CrossBatchMemory`) make a second term of the same form.

    Args:
        loss: From `losses`, or any module of (similarity, relevance, selection).
        miner: From `miners`; it sees S without gradient. Default: every pair of M.
        references: Default: `InBatch()`.
        relevance: Default: `SameClass()`.

    Example:
        >>> import torch
        >>> from ranklight.losses import ContrastiveLoss
        >>> embeddings = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], requires_grad=True)
        >>> loss = Objective(ContrastiveLoss())(embeddings, torch.tensor([0, 0, 1]))
        >>> loss.item()  # positives: 1 − 0; negatives: half of them 0, half 1 − 0.5
        1.25
        >>> loss.backward()
    """

    def __init__(
        self,
        loss: nn.Module,
        miner: nn.Module | None = None,
        references: nn.Module | None = None,
        relevance: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.loss = loss
        self.miner = miner
        self.references = InBatch() if references is None else references
        self.relevance = SameClass() if relevance is None else relevance

    def forward(
        self,
        embeddings: Float[Tensor, "n d"],
        labels: Shaped[Tensor, "n ..."],
        index: Int[Tensor, " n"] | None = None,
    ) -> Float[Tensor, ""]:
        """The loss of a batch; `index` tells a memory which images these are."""
        return self.evaluate(embeddings, labels, index).loss

    def evaluate(
        self,
        embeddings: Float[Tensor, "n d"],
        labels: Shaped[Tensor, "n ..."],
        index: Int[Tensor, " n"] | None = None,
    ) -> ObjectiveOutput:
        """The loss of a batch, with the share of its pairs that was mined."""
        known = () if index is None else (index,)
        found = self.references(embeddings, labels, *known)
        batch = self._term(found, embeddings, labels)
        if found.memory is None:
            return batch
        memory = self._term(found.memory, embeddings, labels)
        total = batch.loss + found.weight * memory.loss
        return ObjectiveOutput(total, batch.mined_fraction, memory.mined_fraction)

    def _term(self, found: References, embeddings: Tensor, labels: Tensor) -> ObjectiveOutput:
        similarity, relevance, mask = pairs_with(found, embeddings, labels, self.relevance)
        if self.miner is None:
            return ObjectiveOutput(self.loss(similarity, relevance, mask), similarity.new_ones(()))
        selection = self.miner(similarity.detach(), relevance, mask)
        loss = self.loss(similarity, relevance, selection)
        return ObjectiveOutput(loss, _mined_fraction(selection, mask))


def _mined_fraction(
    selection: Bool[Tensor, "n m"] | Int[Tensor, "n m"], mask: Bool[Tensor, "n m"]
) -> Float[Tensor, ""]:
    mined = selection if selection.dtype == mask.dtype else selection >= 0
    return mined.count_nonzero() / mask.count_nonzero().clamp(min=1)
