"""What the callbacks that watch [queries, gallery] loaders share."""

from typing import Any

import torch

from callbacks.embedded import Embedded, EmbeddingCollector
from datamodules import Batch


class QueryGallery:
    """Keeps what the two loaders, queries first, gave in one pass, on each rank its share."""

    def __init__(self) -> None:
        self._loaders = EmbeddingCollector(), EmbeddingCollector()

    def clear(self) -> None:
        """Forget everything."""
        self._loaders = EmbeddingCollector(), EmbeddingCollector()

    def add(self, outputs: Any, batch: Batch, loader: int) -> None:
        """Keep a batch of a loader.

        Raises:
            ValueError: A third loader, or outputs without `embeddings`.
        """
        if loader > 1:
            raise ValueError("two loaders are needed, [queries, gallery]; there is a third")
        self._loaders[loader].add(outputs, batch)

    def rows(self, device: torch.device) -> tuple[Embedded, Embedded]:
        """Queries and gallery in the order of the data set, each image once; collective.

        Raises:
            ValueError: There was one loader only.
        """
        queries, gallery = (loader.rows(device) for loader in self._loaders)
        if not queries.shards.size or not gallery.shards.size:
            raise ValueError(
                "two loaders are needed, [queries, gallery], as val_dataloader and test_dataloader "
                "return them for data with queries; there is one, or one is empty"
            )
        return queries, gallery
