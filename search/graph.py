"""A graph of neighbours, the same at every build."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ranklight.search.backends import faiss

_LINKS, _BUILD_EFFORT = 24, 60


class Graph:
    """An HNSW index of 24 links a row that the same rows always build alike.

    Malkov, Yashunin: Efficient and robust approximate nearest neighbor search using Hierarchical
    Navigable Small World graphs, TPAMI 2020, arXiv 1603.09320. Built on one thread: on several,
    the graph and what it finds change from run to run.

        >>> graph = Graph(torch.arange(50.0)[:, None])
        >>> graph.search(torch.tensor([[20.2]]), 3, effort=16)
        tensor([[20, 21, 19]])

    Args:
        rows: Rows to find, on the CPU.
        inner_product: Near is a large inner product, not a small distance.
    """

    def __init__(self, rows: Float[Tensor, "m d"], inner_product: bool = False) -> None:
        library = faiss()
        metric = library.METRIC_INNER_PRODUCT if inner_product else library.METRIC_L2
        self.index = library.IndexHNSWFlat(rows.shape[1], _LINKS, metric)
        self.index.hnsw.efConstruction = _BUILD_EFFORT
        threads = library.omp_get_max_threads()
        library.omp_set_num_threads(1)
        try:
            self.index.add(rows.numpy())
        finally:
            library.omp_set_num_threads(threads)

    def search(self, queries: Float[Tensor, "n d"], k: int, effort: int) -> Int[Tensor, "n k"]:
        """Indices of k near rows; −1 where fewer were found.

        Args:
            queries: What to find neighbours of.
            k: How many.
            effort: Candidates that are kept meanwhile; more find more and take longer.
        """
        self.index.hnsw.efSearch = effort
        return torch.from_numpy(self.index.search(queries.numpy(), k)[1])
