"""A method is four free choices: references × relevance × miner × loss."""

import warnings
from collections.abc import Mapping
from typing import NamedTuple, cast

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from ranklight.kernels.distributed import rank_and_world_size
from ranklight.kernels.eager import holds_values
from ranklight.pairs.blocks import check_blocks, loss_in_blocks
from ranklight.pairs.checks import check_batch
from ranklight.pairs.compare import pairs_with
from ranklight.pairs.given import Given, references_of
from ranklight.pairs.references import ClassCenters, InBatch, References
from ranklight.pairs.relevance import SameClass

_ALMOST_UNIT = 0.05


class ObjectiveOutput(NamedTuple):
    """A loss and what it was computed from."""

    loss: Float[Tensor, ""]
    mined_fraction: Float[Tensor, ""] | None = None
    """Share of the pairs that the miner kept, 0..1; None where there are no pairs."""
    memory_mined_fraction: Float[Tensor, ""] | None = None
    """The same for the references of a memory, where there is one."""
    terms: Mapping[str, "ObjectiveOutput"] | None = None
    """What the loss is the sum of, by name, before each is weighted."""

    def by_name(self) -> dict[str, Float[Tensor, ""]]:
        """What is worth logging beside the loss: shares that were mined, and each term."""
        shares = {
            "mined_fraction": self.mined_fraction,
            "memory_mined_fraction": self.memory_mined_fraction,
        }
        found = {name: share for name, share in shares.items() if share is not None}
        for name, term in (self.terms or {}).items():
            parts = {"loss": term.loss.detach(), **term.by_name()}
            found |= {f"{name}/{part}": value for part, value in parts.items()}
        return found


class Objective(nn.Module):
    """What an encoder is trained for: `objective(embeddings, labels)` is a scalar to minimise.

        S, R, M = compare(embeddings, labels, references, relevance)
        loss(S, R, miner(S, R, M))

    References from a memory (`CrossBatchMemory`) make a second term of the same form.

    **Embeddings are taken as they are.** Losses of angles, whose margins and temperatures are in
    similarities of -1..1, want unit vectors (`models.Encoder(normalize=True)`, `unit_vectors`) and
    say so by `wants_unit_vectors`: given others they compute a number that is as large as the
    embeddings are long, and train to other ends (on `randn(64, 512)` multi-similarity is 537 where
    pytorch-metric-learning, which normalises inside, has 1.1). The objective warns of them once, at
    its first batch. It does not normalise: embeddings are evaluated and exported as the encoder
    gives them, and must be ranked by the distances that they were trained with; and losses of
    distances (log-ratio, centers, triplets) take vectors of any length.

    Args:
        loss: From `losses`, or any module of (similarity, relevance, selection).
        miner: From `miners`; it sees S without gradient. Default: every pair of M.
        references: Default: `InBatch()`.
        relevance: Default: `SameClass()`.
        references_per_block: For 10^6 class centers: S, R and what comes of them exist for so many
            references at a time, and are computed again for the gradient, a third more work; fewer
            take less memory. None: S whole. For losses that are a softmax over the row.

    A part that has `takes_vectors`, as those of pytorch-metric-learning have (`FromPML`), is given
    embeddings, labels, references, their labels and the selection, instead of S, R and the
    selection.

    Raises:
        ValueError: Loss and references differ in their centers per class; or `references_per_block`
            is given with a miner or with another loss.

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
        references_per_block: int | None = None,
    ) -> None:
        super().__init__()
        self.loss = loss
        self.miner = miner
        self.references = InBatch() if references is None else references
        self.relevance = SameClass() if relevance is None else relevance
        _check_centers_per_class(loss, self.references)
        if references_per_block is not None:
            check_blocks(loss, miner, references_per_block)
        self.references_per_block = references_per_block
        parts = {type(part).__name__ for part in (loss, miner) if _wants_unit_vectors(part)}
        self._unlooked_at = " and ".join(sorted(parts))

    def forward(
        self,
        embeddings: Float[Tensor, "n d"],
        labels: Shaped[Tensor, "n ..."] | None = None,
        index: Int[Tensor, " n"] | None = None,
        **given: Tensor | None,
    ) -> Float[Tensor, ""]:
        """The loss of a batch; see `evaluate`."""
        return self.evaluate(embeddings, labels, index, **given).loss

    def evaluate(
        self,
        embeddings: Float[Tensor, "n d"],
        labels: Shaped[Tensor, "n ..."] | None = None,
        index: Int[Tensor, " n"] | None = None,
        **given: Tensor | None,
    ) -> ObjectiveOutput:
        """The loss of a batch, with the share of its pairs that was mined.

        The caller may give what the batch is compared with, in place of `InBatch`, by name:

        * references (and ref_labels): other embeddings, as of a second encoder. They hold no
          anchor. Without any labels reference i is the positive of anchor i: images and their
          texts, two views.
        * positive: which pairs are positive, where no labels say it: Bool [anchors, references] or
          the pairs, int [p, 2]. All others are negative.
        * mask: which pairs count, Bool [anchors, references].

        On several processes each gives its share, and the references are those of all of them.

        Args:
            embeddings: Anchors.
            labels: Their labels, of the kind that the relevance takes.
            index: Which images these are, for a memory.
            given: references, ref_labels, positive, mask.

        Raises:
            TypeError: Something is no tensor, or of another type.
            ValueError: Sizes or devices do not fit; or which pairs are positive is not said, or
                said twice.
        """
        return self.against(self.find(embeddings, labels, index, **given), embeddings, labels)

    def find(
        self,
        embeddings: Float[Tensor, "n d"],
        labels: Shaped[Tensor, "n ..."] | None = None,
        index: Int[Tensor, " n"] | None = None,
        **given: Tensor | None,
    ) -> References:
        """What a batch is compared with, as `evaluate` says."""
        said = Given(**given)
        if labels is not None and all(part is None for part in said):
            check_batch(embeddings, labels, index)
            known = () if index is None else (index,)
            found: References = self.references(embeddings, labels, *known)
            return found
        if not isinstance(self.references, InBatch):
            raise ValueError(
                "references, positive and mask of a call stand in for InBatch; this objective has "
                f"{type(self.references).__name__}"
            )
        if labels is None and (unable := self._needs_labels()):
            raise ValueError(f"{unable} needs labels; got none")
        return references_of(said, embeddings, labels)

    def against(
        self,
        found: References,
        embeddings: Float[Tensor, "n d"],
        labels: Shaped[Tensor, "n ..."] | None,
    ) -> ObjectiveOutput:
        """The loss against references that were found already."""
        self._look_once(embeddings)
        batch = self._term(found, embeddings, labels)
        if found.penalty is not None:
            batch = batch._replace(loss=batch.loss + found.penalty)
        if found.memory is None:
            return batch
        memory = self._term(found.memory, embeddings, labels)
        total = batch.loss + found.weight * memory.loss
        return ObjectiveOutput(total, batch.mined_fraction, memory.mined_fraction)

    def check_labels(self, labels: Tensor) -> None:
        """Refuse labels that the references do not have, before they leave the CPU."""
        if isinstance(self.references, ClassCenters):
            self.references.check_labels(labels)

    def _look_once(self, embeddings: Tensor) -> None:
        """Warn where the parts want unit vectors and the first batch has none.

        The one look at values that a GPU waits for.
        """
        if not self._unlooked_at or not holds_values(embeddings) or not embeddings.numel():
            return
        wanting, self._unlooked_at = self._unlooked_at, ""
        lengths = torch.linalg.vector_norm(embeddings.detach().float(), dim=1)
        shortest, longest = (float(length) for length in lengths.aminmax())
        if max(1 - shortest, longest - 1) > _ALMOST_UNIT and rank_and_world_size()[0] == 0:
            warnings.warn(
                f"{wanting}: unit vectors are needed, the embeddings have lengths {shortest:.3g} "
                f"to {longest:.3g}; let the encoder normalise (models.Encoder(normalize=True))",
                stacklevel=2,
            )

    def _needs_labels(self) -> str:
        """The part that labels of a batch must be given to, if there is one."""
        if self.references_per_block is not None:
            return "references_per_block"
        parts = (self.loss, self.miner)
        needing = (part for part in parts if _takes_vectors(part) or _wants_labels(part))
        return next((type(part).__name__ for part in needing), "")

    def _term(
        self, found: References, embeddings: Tensor, labels: Tensor | None
    ) -> ObjectiveOutput:
        if self.references_per_block is not None:
            size = self.references_per_block
            known = cast(Tensor, labels)
            loss = loss_in_blocks(self.loss, found, embeddings, known, self.relevance, size)
            return ObjectiveOutput(loss, loss.new_ones(()))
        similarity, relevance, mask = pairs_with(found, embeddings, labels, self.relevance)
        vectors = embeddings, labels, found.embeddings, found.labels
        selection = mask
        if self.miner is not None:
            pairs = vectors if _takes_vectors(self.miner) else (similarity.detach(), relevance)
            selection = self.miner(*pairs, mask)
        pairs = vectors if _takes_vectors(self.loss) else (similarity, relevance)
        more = (labels,) if _wants_labels(self.loss) else ()
        loss = self.loss(*pairs, selection, *more)
        if self.miner is None:
            return ObjectiveOutput(loss, similarity.new_ones(()))
        return ObjectiveOutput(loss, _mined_fraction(selection, mask))


def check_objective(part: nn.Module, user: str) -> None:
    """Refuse what is no objective, nor a sum or prefixes of such.

    Raises:
        ValueError: It is something else, as a loss is.
    """
    if not hasattr(part, "evaluate"):
        raise ValueError(
            f"{user} takes an objective, and {type(part).__name__} is none: put a loss into a "
            "ranklight.pairs.Objective"
        )


def _check_centers_per_class(loss: nn.Module, references: nn.Module) -> None:
    """Refuse a loss for which so many columns are one class, where they are not."""
    needed = getattr(loss, "centers_per_class", 1)
    given = getattr(references, "centers_per_class", 1)
    if needed not in (1, given):
        raise ValueError(
            f"{type(loss).__name__}(centers_per_class={needed}) needs references of as many, as "
            f"ClassCenters(centers_per_class={needed}); {type(references).__name__} has {given}"
        )


def _takes_vectors(part: nn.Module | None) -> bool:
    return bool(getattr(part, "takes_vectors", False))


def _wants_labels(part: nn.Module | None) -> bool:
    return bool(getattr(part, "wants_labels", False))


def _wants_unit_vectors(part: nn.Module | None) -> bool:
    return bool(getattr(part, "wants_unit_vectors", False))


def _mined_fraction(
    selection: Bool[Tensor, "n m"] | Int[Tensor, "n m"], mask: Bool[Tensor, "n m"]
) -> Float[Tensor, ""]:
    mined = selection if selection.dtype == mask.dtype else selection >= 0
    return mined.count_nonzero() / mask.count_nonzero().clamp(min=1)
