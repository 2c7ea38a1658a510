"""Anchors against references, as the three matrices S, R and M."""

from collections.abc import Callable
from typing import NamedTuple, cast

from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from ranklight.pairs.checks import check_batch
from ranklight.pairs.references import References
from ranklight.pairs.similarity import pairwise_similarity


class Pairs(NamedTuple):
    """What the model says (S), what the labels say (R), and which pairs count (M)."""

    similarity: Float[Tensor, "n m"]
    relevance: Float[Tensor, "n m"]
    mask: Bool[Tensor, "n m"]


def compare(
    embeddings: Float[Tensor, "n d"],
    labels: Shaped[Tensor, "n ..."],
    references: Callable[..., References],
    relevance: Callable[[Tensor, Tensor], Tensor],
) -> Pairs:
    """Compare a batch with its references.

    Args:
        embeddings: Anchors.
        labels: Their labels, of the kind that `relevance` takes.
        references: For example `InBatch()` or `ClassCenters(...)`.
        relevance: For example `SameClass()`.

    Raises:
        TypeError: Embeddings are no tensor of floats, or labels no tensor.
        ValueError: There is not one label an embedding, or they are on different devices.

    Example:
        >>> import torch
        >>> from ranklight.pairs import InBatch, SameClass
        >>> embeddings, labels = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([7, 7])
        >>> pairs = compare(embeddings, labels, InBatch(), SameClass())
        >>> pairs.similarity.tolist(), pairs.relevance.tolist()
        ([[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0], [1.0, 1.0]])
    """
    check_batch(embeddings, labels)
    return pairs_with(references(embeddings, labels), embeddings, labels, relevance)


def pairs_with(
    found: References,
    embeddings: Float[Tensor, "n d"],
    labels: Shaped[Tensor, "n ..."] | None,
    relevance: Callable[[Tensor, Tensor], Tensor],
) -> Pairs:
    """Compare a batch with references that were found already, as `compare` does.

    Labels are not needed where the references say which pairs are positive.
    """
    similarity, related = pairwise_similarity(embeddings, found.embeddings), found.relevance
    if related is None:
        related = relevance(cast(Tensor, labels), found.labels)
    return Pairs(similarity, related, found.mask)
