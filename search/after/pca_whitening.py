"""Directions in which training embeddings vary, each given the same weight."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from ranklight.kernels.checks import check_counts
from ranklight.kernels.chunks import chunks
from ranklight.search.after.step import Retrieval, Step
from ranklight.search.after.unit_rows import unit_rows
from ranklight.search.embedded import Embedded, check_searchable

_ROWS = 1024
_NOISE = 1e-12


class PcaWhitening(Step):
    """Embeddings along the principal directions of training, over their spread, of length 1.

        y = diag(λ + ε·mean λ)^(−½) Pᵀ (x − μ),   x' = y / ‖y‖

    μ is the mean of training embeddings, P the eigenvectors of their covariance of the largest
    eigenvalues λ. Jégou & Chum, Negative evidences and co-occurrences in image retrieval: the
    benefit of PCA and whitening, ECCV 2012. We add ε, their ε is 0; their joint dimensionality
    reduction of several vocabularies is not here.

    Computed in float64, blocks of 1,024 rows in the order of all ranks' rows, so that the number
    of ranks changes nothing. Memory: 24·d² bytes and a block.

        >>> step = PcaWhitening()
        >>> step.fit(Embedded(torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 1.0], [4.0, 1.0]])))
        >>> step(Retrieval(Embedded(torch.tensor([[4.0, 1.0]])))).queries.embeddings.abs()
        tensor([[0.7071, 0.7071]])

    Args:
        dimensions: How many directions are kept; all by default. Fewer leave out what varies least.
        regularisation: ε, in units of the mean eigenvalue; 0 is whitening, a large one leaves a
            rotation. Needed where training does not vary in all directions.
        name: What its scores are logged under; several of a kind need one each.

    Raises:
        ValueError: Dimensions are below 1, or the regularisation is negative.
    """

    needs_training = True

    def __init__(
        self,
        dimensions: int | None = None,
        regularisation: float = 0.0,
        name: str = "pca_whitening",
    ) -> None:
        if dimensions is not None:
            check_counts(dimensions=dimensions)
        if not 0 <= regularisation < float("inf"):
            raise ValueError(f"regularisation must be 0 or more; got {regularisation}")
        self.name = name
        self.dimensions = dimensions
        self.regularisation = regularisation
        self.mean: Tensor | None = None
        self.projection = torch.empty(0)

    def fit(self, training: Embedded) -> None:
        """Find the directions; collective.

        Raises:
            ValueError: Embeddings are not finite, or vary in fewer directions than are kept.
        """
        check_searchable(training)
        width, size = training.embeddings.shape[1], training.shards.size
        kept = width if self.dimensions is None else self.dimensions
        if kept > width:
            raise ValueError(f"embeddings of {width} dimensions cannot be projected on {kept}")
        total = training.embeddings.new_zeros(width, dtype=torch.float64)
        for rows in _blocks(training):
            total += rows.sum(0)
        mean = total / size
        scatter = total.new_zeros(width, width)
        for rows in _blocks(training):
            scatter += (rows - mean).T @ (rows - mean)
        spread, directions = (part.flip(-1) for part in torch.linalg.eigh(scatter / size))
        self._check_spread(spread, kept)
        scale = (spread[:kept] + self.regularisation * spread.mean()).rsqrt()
        # rank 0's: machines of other kinds may round in another way
        leads = training.shards.rank == 0
        self.mean = training.shards.all_reduce(mean * leads)
        self.projection = training.shards.all_reduce(directions[:, :kept] * scale * leads)

    def __call__(self, retrieval: Retrieval) -> Retrieval:
        """Both sides, whitened.

        Raises:
            ValueError: It was not fitted, or on embeddings of other dimensions.
        """
        queries, gallery, search = retrieval
        white = self._whiten(queries)
        return Retrieval(white, gallery and self._whiten(gallery), search)

    def _whiten(self, rows: Embedded) -> Embedded:
        if self.mean is None:
            raise ValueError("PCA whitening must be fitted on training embeddings first")
        given, width = rows.embeddings, len(self.mean)
        if given.shape[1] != width:
            raise ValueError(
                f"PCA whitening was fitted on {width} dimensions; got {given.shape[1]}"
            )
        mean, projection = (part.to(given.device) for part in (self.mean, self.projection))
        white = given.new_empty(len(given), projection.shape[1])
        # one shape of product, whatever the share of a rank: another shape may round otherwise
        block = mean.new_zeros(_ROWS, width)
        for part in chunks(len(given), _ROWS):
            block[: len(given[part])] = given[part] - mean
            white[part] = unit_rows(block @ projection)[: len(given[part])].to(given.dtype)
        return rows.with_embeddings(white)

    def _check_spread(self, spread: Float[Tensor, "d"], kept: int) -> None:
        varied = int((spread > _NOISE * spread[0]).sum())
        if varied == 0 or (varied < kept and self.regularisation == 0):
            raise ValueError(
                f"whitening {kept} dimensions needs training embeddings that vary in as many "
                f"directions; they vary in {varied}: lower dimensions, or give a regularisation"
            )


def _blocks(rows: Embedded) -> Iterator[Float[Tensor, "b d"]]:
    """All ranks' rows in their order, on every rank."""
    for part in chunks(rows.shards.size, _ROWS):
        positions = torch.arange(part.start, part.stop, device=rows.embeddings.device)
        yield rows.shards.take(rows.embeddings, positions).double()
