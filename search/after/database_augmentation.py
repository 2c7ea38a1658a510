"""Every row of the gallery moves towards its neighbours, once, before anything is asked."""

from ranklight.search.after.neighbour_sum import check_expansion, neighbour_sum
from ranklight.search.after.step import Retrieval, Step


class DatabaseAugmentation(Step):
    """Gallery rows with the sum of their nearest gallery rows added, weighted by similarity.

        g' ∝ g + Σ_j max(S(g, g_j), 0)^α g_j   over the n nearest g_j of the gallery,   ‖g'‖ = 1

    Turcot & Lowe, Better matching with fewer features, ICCV Workshops 2009; Arandjelović &
    Zisserman, Three things everyone should know to improve object retrieval, CVPR 2012. They add
    neighbours with equal weights, which is α = 0; Gordo et al. (IJCV 2017) weigh them by rank, we
    by similarity as `AlphaQueryExpansion` does. A row leaves itself out of its list and enters with
    weight 1.

    Without a gallery, queries as they were are looked for among the augmented embeddings.

    The same bits on any number of ranks. Memory: 8·n bytes a gallery row and a block of some MiB.

        >>> import torch
        >>> from ranklight.search import Embedded
        >>> rows = Embedded(torch.tensor([[1.0, 0.0], [0.6, 0.8]]))
        >>> DatabaseAugmentation(n=1, alpha=0.0)(Retrieval(rows)).gallery.embeddings
        tensor([[0.8944, 0.4472],
                [0.8944, 0.4472]])

    Args:
        n: How many neighbours are added; no more than are expected to be right.
        alpha: α; a larger one leaves more to the nearest.
        name: What its scores are logged under; several of a kind need one each.

    Raises:
        ValueError: n is below 1, or alpha negative.
    """

    def __init__(
        self, n: int = 10, alpha: float = 3.0, name: str = "database_augmentation"
    ) -> None:
        check_expansion(n, alpha)
        self.name = name
        self.n = n
        self.alpha = alpha

    def __call__(self, retrieval: Retrieval) -> Retrieval:
        """Queries as they were, in an augmented gallery.

        Raises:
            ValueError: Embeddings are not of length 1.
        """
        queries, gallery, search = retrieval
        if gallery is None:
            queries = gallery = queries.identified()
        augmented = neighbour_sum(
            gallery, None, self.n, self.alpha, search, "database augmentation"
        )
        return Retrieval(queries, gallery.with_embeddings(augmented), search)
