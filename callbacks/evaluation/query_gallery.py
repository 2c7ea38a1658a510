"""What the evaluations that watch [queries, gallery] loaders share."""

import torch

from ranklight.callbacks.evaluation.embedding_evaluation import EmbeddingEvaluation
from ranklight.search import Embedded


def check_loader(loader: int) -> None:
    """Raise a ValueError that says which loaders are needed."""
    if loader > 1:
        raise ValueError("two loaders are needed, [queries, gallery]; there is a third")


def queries_and_gallery(
    evaluation: EmbeddingEvaluation, device: torch.device
) -> tuple[Embedded, Embedded]:
    """What the two loaders, queries first, gave, which the evaluation keeps as `last`; collective.

    Raises:
        ValueError: There was one loader only.
    """
    queries, gallery = (evaluation.collected(loader, device) for loader in (0, 1))
    if not queries.shards.size or not gallery.shards.size:
        raise ValueError(
            "two loaders are needed, [queries, gallery], as val_dataloader and test_dataloader "
            "return them for data with queries; there is one, or one is empty"
        )
    evaluation.last, evaluation.last_gallery = queries.to("cpu"), gallery.to("cpu")
    return queries, gallery
