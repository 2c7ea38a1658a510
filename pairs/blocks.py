"""A softmax over very many references, a block of them at a time."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from ranklight.kernels.checks import check_counts
from ranklight.kernels.chunks import chunks
from ranklight.kernels.cross_entropy import RowSums, joined, mean_cross_entropy, row_sums
from ranklight.kernels.rowwise import refuse_create_graph
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

    def sums(anchors: Tensor, references: Tensor, ref_labels: Tensor, mask: Tensor) -> RowSums:
        similarity = pairwise_similarity(anchors, references)
        return row_sums(loss.logits(similarity, relevance(labels, ref_labels), mask))  # type: ignore[operator]

    rows = _InBlocks.apply(sums, size, embeddings, *found[:3])
    return mean_cross_entropy(RowSums(*rows))


class _InBlocks(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        sums: Callable[..., RowSums],
        size: int,
        embeddings: Tensor,
        references: Tensor,
        ref_labels: Tensor,
        mask: Tensor,
    ) -> RowSums:
        blocks = chunks(len(references), size)
        rows = joined([sums(embeddings, references[b], ref_labels[b], mask[:, b]) for b in blocks])
        ctx.save_for_backward(embeddings, references, ref_labels, mask, rows.log_sum)
        ctx.sums, ctx.size = sums, size
        ctx.mark_non_differentiable(rows.number)
        return rows

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        refuse_create_graph()
        embeddings, references, ref_labels, mask, log_sum = ctx.saved_tensors
        of_anchors, of_references = torch.zeros_like(embeddings), torch.empty_like(references)
        for block in chunks(len(references), ctx.size):
            anchors, some = (t.detach().requires_grad_() for t in (embeddings, references[block]))
            with torch.enable_grad():
                part = ctx.sums(anchors, some, ref_labels[block], mask[:, block])
            # log Σ e^x over all has the derivative e^{part − all} for the part of a block.
            share = torch.where(log_sum > -torch.inf, (part.log_sum.detach() - log_sum).exp(), 0)
            of_block, of_references[block] = torch.autograd.grad(
                (part.log_sum, part.picked), (anchors, some), (grads[0] * share, grads[1])
            )
            of_anchors += of_block
        return None, None, of_anchors, of_references, None, None
