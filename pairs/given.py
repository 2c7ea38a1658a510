"""References and pairs that the caller gives: of another encoder, or without labels."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from ranklight.kernels.checks import check_tensors, check_vectors, check_within, is_integer
from ranklight.pairs.checks import check_batch
from ranklight.pairs.references import InBatch, References, own_first


class Given(NamedTuple):
    """What a call of an objective says itself; see `Objective.evaluate`."""

    references: Float[Tensor, "m d"] | None = None
    ref_labels: Shaped[Tensor, "m ..."] | None = None
    positive: Bool[Tensor, "n m"] | Int[Tensor, "p 2"] | None = None
    mask: Bool[Tensor, "n m"] | None = None


def references_of(
    given: Given, embeddings: Float[Tensor, "n d"], labels: Shaped[Tensor, "n ..."] | None
) -> References:
    """The references of a call that says something itself.

    On several processes they are those of all, own ones first, and what is said of pairs is about
    own references: those of other processes count, as negatives where no label says otherwise.

    Raises:
        TypeError: Something is no tensor, or of another type.
        ValueError: Which pairs are positive is not said, or said twice; shapes or devices do not
            fit; or, on the CPU, a pair is of no anchor or reference.
    """
    _check_one_answer(given, labels)
    check_vectors(embeddings=embeddings)
    own = embeddings if given.references is None else given.references
    check_vectors(embeddings=embeddings, references=own)
    found = _found(given, embeddings, labels)
    shape, others = (len(embeddings), len(own)), len(found.embeddings) - len(own)
    if given.mask is not None:
        mask = _matrix(given.mask, shape, embeddings, "mask")
        found = found._replace(mask=found.mask & F.pad(mask, (0, others), value=True))
    if labels is None:
        related = _related(given.positive, shape, embeddings)
        found = found._replace(relevance=F.pad(related, (0, others)).float())
    return found


def _check_one_answer(given: Given, labels: Tensor | None) -> None:
    if labels is not None and given.positive is not None:
        raise ValueError("pairs are positive by labels or by `positive`; got both")
    if given.ref_labels is not None and (given.references is None or labels is None):
        raise ValueError("ref_labels need references and the anchors' labels; give all three")
    if given.references is not None and labels is not None and given.ref_labels is None:
        raise ValueError("labels and references need ref_labels, too, the references' labels")
    if labels is None and given.references is None and given.positive is None:
        raise ValueError("which pairs are positive must be given: labels, references or `positive`")


def _found(given: Given, embeddings: Tensor, labels: Tensor | None) -> References:
    if given.references is None:
        rows = torch.arange(len(embeddings), device=embeddings.device)
        found: References = InBatch()(embeddings, rows if labels is None else labels)
        return found
    references, ref_labels = given.references, given.ref_labels
    if ref_labels is None:
        ref_labels = torch.arange(len(references), device=references.device)
    check_batch(references, ref_labels)
    if labels is not None:
        check_batch(embeddings, labels)
    references, ref_labels = own_first(references), own_first(ref_labels)
    shape = (len(embeddings), len(references))
    mask = torch.ones(shape, dtype=torch.bool, device=embeddings.device)
    return References(references, ref_labels, mask)


def _related(positive: Tensor | None, shape: tuple[int, int], embeddings: Tensor) -> Tensor:
    """Which own references are positives of which anchors."""
    if positive is None:
        if shape[0] != shape[1]:
            raise ValueError(
                "without labels or `positive` each anchor has one reference, its own; got "
                f"{shape[0]} anchors and {shape[1]} references"
            )
        return torch.eye(shape[0], dtype=torch.bool, device=embeddings.device)
    check_tensors(embeddings=embeddings, positive=positive)
    if not is_integer(positive):
        return _matrix(positive, shape, embeddings, "positive")
    if positive.ndim != 2 or positive.shape[1] != 2:
        raise ValueError(
            "positive pairs must be (anchor, reference), of the shape [p, 2]; got "
            f"{list(positive.shape)}"
        )
    anchor, reference = positive.long().unbind(1)
    check_within(anchor, shape[0], "anchors of positive pairs")
    check_within(reference, shape[1], "references of positive pairs")
    related = torch.zeros(shape, dtype=torch.bool, device=embeddings.device)
    return related.index_put((anchor, reference), related.new_ones(()))


def _matrix(pairs: Tensor, shape: tuple[int, int], embeddings: Tensor, name: str) -> Tensor:
    check_tensors(embeddings=embeddings, **{name: pairs})
    if pairs.dtype != torch.bool:
        raise TypeError(f"{name} must be Bool, one element a pair; got {pairs.dtype}")
    if pairs.shape != shape:
        raise ValueError(
            f"{name} must have the shape [anchors, references], {list(shape)}; got "
            f"{list(pairs.shape)}"
        )
    return pairs
