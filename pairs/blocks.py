"""A softmax over very many references, a block of them at a time."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ranklight.kernels.checks import check_counts
from ranklight.kernels.cross_entropy import RowSums, joined, mean_cross_entropy, row_sums
from ranklight.pairs.references import References
from ranklight.pairs.similarity import pairwise_similarity


def check_blocks(loss: nn.Module, miner: nn.Module | None, size: int) -> None:
    """Refuse what cannot be computed from blocks of references.

    Raises:
        TypeError: The size is no whole number.
        ValueError: There is a miner, the loss is no softmax over the row, or the size is not
            positive or would part the centers of a class.
    """
    check_counts(references_per_block=size)
    if miner is not None or not hasattr(loss, "logits"):
        other = type(loss if miner is None else miner).__name__
        raise ValueError(
            "references_per_block needs a loss that is a softmax over the row, as ArcFaceLoss, and "
            f"no miner; got {other}"
        )
    if size % (together := getattr(loss, "centers_per_class", 1)):
        raise ValueError(
            f"references_per_block must be a multiple of the {together} centers of a class; got "
            f"{size}"
        )


def loss_in_blocks(
    loss: nn.Module,
    found: References,
    embeddings: Float[Tensor, "n d"],
    labels: Shaped[Tensor, "n ..."],
    relevance: Callable[[Tensor, Tensor], Tensor],
    size: int,
) -> Float[Tensor, ""]:
    """What `loss(S, R, M)` is, of which n × size elements exist at a time.

    S, R and the logits of a block are computed, summed and forgotten, and computed again for the
    gradient: four products instead of three.

    Args:
        loss: One that is the mean cross-entropy of its `logits`, of which a block of columns
            depends on that block alone.
        found: The references.
        embeddings: Anchors.
        labels: Their labels.
        relevance: For example `SameClass()`.
        size: References a block, a multiple of the loss's `centers_per_class`.
    """

    def sums(references: Tensor, ref_labels: Tensor, mask: Tensor) -> RowSums:
        similarity = pairwise_similarity(embeddings, references)
        return row_sums(loss.logits(similarity, relevance(labels, ref_labels), mask))  # type: ignore[operator]

    blocks = zip(
        torch.split(found.embeddings, size),
        torch.split(found.labels, size),
        torch.split(found.mask, size, 1),
        strict=True,
    )
    parts = [checkpoint(sums, *block, use_reentrant=False) for block in blocks]
    return mean_cross_entropy(joined(parts))
