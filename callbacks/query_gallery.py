"""What the callbacks that watch [queries, gallery] loaders share: collecting embeddings."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from callbacks.retrieval import Retrieved, gather_rows, in_index_order


class Embedded(NamedTuple):
    """Images as rows, in the order of the data set."""

    embeddings: Float[Tensor, "n d"]
    labels: Shaped[Tensor, "n ..."]
    index: Int[Tensor, "n"]  # type: ignore[assignment]


class QueryGallery:
    """Keeps what the two loaders, queries first, gave in one pass, on each rank its share."""

    def __init__(self) -> None:
        self._parts: tuple[list[Embedded], list[Embedded]] = ([], [])

    def clear(self) -> None:
        """Forget everything."""
        self._parts = ([], [])

    def add(self, outputs: Any, batch: Any, loader: int) -> None:
        """Keep a batch of a loader.

        Raises:
            ValueError: A third loader, or outputs without `embeddings`.
        """
        if loader > 1:
            raise ValueError("two loaders are needed, [queries, gallery]; there is a third")
        if not isinstance(outputs, Mapping) or "embeddings" not in outputs:
            raise ValueError(
                "validation and test steps must return a mapping with `embeddings`, not "
                f"{type(outputs).__name__}"
            )
        rows = (outputs["embeddings"].detach(), batch.labels, batch.index)
        kept = (tensor if tensor.is_cuda else tensor.cpu() for tensor in rows)
        self._parts[loader].append(Embedded(*kept))

    def gather(self, device: torch.device) -> tuple[Embedded, Embedded]:
        """Queries and gallery of all ranks, in the order of the data set, each image once.

        On the ranks but the first labels may be without their shape.

        Raises:
            ValueError: There was one loader only.
        """
        queries, gallery = (_gathered(parts, device) for parts in self._parts)
        self.clear()
        if not len(queries.index) or not len(gallery.index):
            raise ValueError(
                "two loaders are needed, [queries, gallery], as val_dataloader and test_dataloader "
                "return them for data with queries; there is one, or one is empty"
            )
        return queries, gallery


def _gathered(parts: list[Embedded], device: torch.device) -> Embedded:
    """Labels travel beside the embeddings in float64, so that a rank may have no row."""
    packed = [
        Retrieved(
            torch.cat([part.embeddings.double(), part.labels.reshape(len(part.index), -1)], 1),
            part.index.long(),
            part.index.long(),
        )
        for part in parts
    ]
    none = torch.zeros(0, dtype=torch.int64, device=device)
    empty = Retrieved(torch.zeros(0, 0, dtype=torch.float64, device=device), none, none)
    rows = in_index_order(gather_rows(packed or [empty], device))
    if not parts:
        return Embedded(rows.embeddings, rows.embeddings, rows.index)
    example = parts[0]
    width = example.embeddings.shape[1]
    wide = torch.promote_types(example.embeddings.dtype, torch.float32)
    labels = rows.embeddings[:, width:].to(example.labels.dtype)
    return Embedded(
        rows.embeddings[:, :width].to(wide), labels.view(-1, *example.labels.shape[1:]), rows.index
    )
