"""How alike the model finds anchors and references: the matrix S."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ranklight.kernels.checks import check_vectors
from ranklight.kernels.chunks import chunks, row_chunks
from ranklight.kernels.eager import eager_on_cpu, without_autocast

# A GPU is kept busy by few large blocks, a CPU's cache by small ones.
_BLOCK_ELEMENTS = {"cpu": 1 << 20}
_BLOCK_ELEMENTS_ELSEWHERE = 1 << 23
_SHORT = 2**0.5


def pairwise_similarity(
    embeddings: Float[Tensor, "n d"], references: Float[Tensor, "m d"]
) -> Float[Tensor, "n m"]:
    """Similarity of every anchor with every reference.

    S_ij = 1 − ½‖z_i − r_j‖²: the cosine for unit vectors; for any vectors the squared Euclidean
    distance is 2 − 2S.

    The products are summed in float64 and rounded once, so S carries float32's rounding of the
    result and not of the squared norms: for vectors of norm 1e3 whose true distance is 1e-2, the
    squared distance is wrong by less than 1e-3 of itself, where the usual ‖z‖² + ‖r‖² − 2z·r in
    float32 is off by more than the distance. On the CPU, vectors no longer than √2 (unit vectors)
    are summed in float32, which rounds them no worse. The gradient Σ_j G_ij (r_j − z_i) is taken in
    float32 about the anchors' mean. Blocks of references keep the extra memory at a few MiB.

    Args:
        embeddings: Anchors, of any floating type.
        references: What the anchors are compared with.

    Returns:
        float32 (also under autocast, for half-precision inputs), or float64 for float64 inputs.

    Raises:
        TypeError: Either is no tensor of floats.
        ValueError: The two are not [n, d] and [m, d], or not on one device.

    Example:
        >>> anchors, references = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> pairwise_similarity(anchors, references).tolist()
        [[1.0, 0.0]]
    """
    check_vectors(embeddings=embeddings, references=references)
    if embeddings.shape[1] != references.shape[1]:
        raise ValueError(
            f"embeddings have {embeddings.shape[1]} dimensions, references {references.shape[1]}: "
            "both must come from the same encoder"
        )
    dtype = torch.promote_types(embeddings.dtype, references.dtype)
    result = torch.float64 if dtype == torch.float64 else torch.float32
    anchors = embeddings.to(result)
    among_themselves = references is embeddings
    others = anchors if among_themselves else references.to(result)
    similarity: Tensor = _Similarity.apply(anchors, others, among_themselves)
    return similarity


def _half_squares_of_short(vectors: Tensor) -> Tensor | None:
    """½‖v‖², if all squared norms are at most 2; on the CPU alone, where looking costs no wait."""
    if not eager_on_cpu(vectors) or not vectors.numel():
        return None
    norms = torch.linalg.vector_norm(vectors, dim=1)
    return norms.square_().div_(2) if norms.max() <= _SHORT else None


def _widest(tensor: Tensor) -> torch.dtype:
    return torch.float32 if tensor.device.type == "mps" else torch.float64


def _rows_per_block(vectors: Tensor, others: int) -> int:
    """How many rows may be multiplied at once with so many others."""
    elements = _BLOCK_ELEMENTS.get(vectors.device.type, _BLOCK_ELEMENTS_ELSEWHERE)
    return max(1, elements // max(1, others, vectors.shape[1]))


class _Similarity(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, embeddings: Tensor, references: Tensor, among_themselves: bool) -> Tensor:
        ctx.save_for_backward(embeddings, references)
        ctx.among_themselves = among_themselves
        own = _half_squares_of_short(embeddings)
        others = own if among_themselves or own is None else _half_squares_of_short(references)
        if own is not None and others is not None:
            with torch.autocast("cpu", enabled=False):
                norms = (1 - own).unsqueeze(1) - others
                return norms.addmm_(embeddings, references.T)
        if among_themselves:
            return _among_themselves(embeddings)
        wide = _widest(embeddings)
        anchors = embeddings.to(wide)
        anchor_term = 1 - anchors.square().sum(1, keepdim=True) / 2
        similarity = embeddings.new_empty(len(embeddings), len(references))
        for columns in chunks(len(references), _rows_per_block(embeddings, len(embeddings))):
            block = references[columns].to(wide)
            product = torch.addmm(block.square().sum(1) / -2, anchors, block.T)
            similarity[:, columns] = product.add_(anchor_term)
        return similarity

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        embeddings, references = ctx.saved_tensors
        with without_autocast(grad):
            # Of no anchors the mean is no number, which would spread.
            center = embeddings.mean(0) if len(embeddings) else embeddings.new_zeros(())
            anchors = embeddings - center
            if ctx.among_themselves:
                return _of_both_sides(grad, anchors), None, None
            return *_of_each_side(grad, anchors, references, center, ctx.needs_input_grad[1]), None


def _among_themselves(vectors: Tensor) -> Tensor:
    """S of vectors that are anchors and references: what is above the diagonal, and its mirror."""
    n = len(vectors)
    wide = vectors.to(_widest(vectors))
    half_squares = wide.square().sum(1) / 2
    similarity = vectors.new_empty(n, n)
    rows = _rows_per_block(vectors, n)
    if vectors.device.type == "cpu":
        rows = max(1, min(rows, -(-n // 4)))
    for block in chunks(n, rows):
        from_here, later = slice(block.start, None), slice(block.stop, None)
        norms = 1 - half_squares[block].unsqueeze(1) - half_squares[from_here]
        similarity[block, from_here] = torch.addmm(norms, wide[block], wide[from_here].T)
        similarity[later, block] = similarity[block, later].T
    return similarity


def _of_each_side(
    grad: Tensor, anchors: Tensor, references: Tensor, center: Tensor, of_references: bool
) -> tuple[Tensor, Tensor | None]:
    """Σ_j G_ij (r_j − z_i) and Σ_i G_ij (z_i − r_j), the references centered a few at a time."""
    first = grad.sum(1, keepdim=True).neg() * anchors
    second = torch.empty_like(references) if of_references else None
    for rows in row_chunks(references, references.shape[1]):
        some, others = grad[:, rows], references[rows]
        others = torch.sub(others, center, out=None if second is None else second[rows])
        first.addmm_(some, others)
        if second is not None:
            others.mul_(some.sum(0).neg_().unsqueeze(1)).addmm_(some.T, anchors)
    return first, second


def _of_both_sides(grad: Tensor, vectors: Tensor) -> Tensor:
    """The gradient of vectors that are anchors and references: (G + Gᵀ) in one product."""
    result = torch.empty_like(vectors)
    for rows in row_chunks(grad, len(vectors)):
        both = grad[:, rows] + grad[rows].T.contiguous()
        result[rows] = both.T @ vectors - both.sum(0).unsqueeze(1) * vectors[rows]
    return result
