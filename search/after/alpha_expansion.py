"""A query moves towards what it found, and looks again."""

from ranklight.search.after.neighbour_sum import check_expansion, neighbour_sum
from ranklight.search.after.step import Retrieval, Step


class AlphaQueryExpansion(Step):
    """Queries with the sum of their nearest gallery rows added, weighted by similarity.

        q' ∝ q + Σ_j max(S(q, g_j), 0)^α g_j   over the n nearest g_j,   ‖q'‖ = 1

    Radenović, Tolias & Chum, Fine-tuning CNN image retrieval with no human annotation, TPAMI 2018,
    arXiv:1711.02512. α = 0 is average query expansion (Chum et al., ICCV 2007). The query enters
    with weight 1 and leaves itself out of its list. We give no weight to rows of a negative
    similarity, of which the paper's power has none or, with an odd α, a negative one.

    Without a gallery, expanded queries are looked for among the embeddings as they were.

    The same bits on any number of ranks. Memory: 8·n bytes a query and a block of some MiB.

        >>> import torch
        >>> from ranklight.search import Embedded
        >>> rows = Embedded(torch.tensor([[1.0, 0.0], [0.6, 0.8]]))
        >>> AlphaQueryExpansion(n=1, alpha=0.0)(Retrieval(rows)).queries.embeddings
        tensor([[0.8944, 0.4472],
                [0.8944, 0.4472]])

    Args:
        n: How many neighbours are added; no more than are expected to be right.
        alpha: α; a larger one leaves more to the nearest.
        name: What its scores are logged under; several of a kind need one each.

    Raises:
        ValueError: n is below 1, or alpha negative.
    """

    def __init__(self, n: int = 50, alpha: float = 3.0, name: str = "alpha_qe") -> None:
        check_expansion(n, alpha)
        self.name = name
        self.n = n
        self.alpha = alpha

    def __call__(self, retrieval: Retrieval) -> Retrieval:
        """Expanded queries, in the gallery as it was.

        Raises:
            ValueError: Embeddings are not of length 1.
        """
        queries, gallery, search = retrieval
        expanded = neighbour_sum(
            queries, gallery, self.n, self.alpha, search, "alpha query expansion"
        )
        if gallery is None:
            queries = gallery = queries.identified()
        return Retrieval(queries.with_embeddings(expanded), gallery, search)
