"""Collects the embeddings of a loader's images, batch by batch."""

from collections.abc import Mapping
from typing import Any

import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from ranklight.datamodules import Batch
from ranklight.kernels.distributed import all_gather_object
from ranklight.search import Embedded, shard


class EmbeddingCollector:
    """Keeps what a pass over one loader gave, on each rank its share."""

    def __init__(self) -> None:
        self._parts: list[tuple[Tensor, ...]] = []

    def add(self, outputs: Any, batch: Batch) -> None:
        """Keep a batch; embeddings on a GPU stay there.

        Raises:
            ValueError: Outputs without `embeddings`.
        """
        embeddings = (
            outputs.get("embeddings")
            if isinstance(outputs, Mapping)
            else getattr(outputs, "embeddings", None)
        )
        if embeddings is None:
            raise ValueError(
                "validation and test steps must return a mapping or named tuple with "
                f"`embeddings`, not {type(outputs).__name__}"
            )
        wide = torch.promote_types(embeddings.dtype, torch.float32)
        self._parts.append((embeddings.detach().to(wide), batch.labels, batch.index.long()))

    def rows(self, device: torch.device) -> Embedded:
        """What was kept, each image once, by ascending id, also over ranks; then forgotten.

        Collective. Warns of rows with the id of another, which a sampler repeated.

        Raises:
            ValueError: Two rows of a rank have one id and different labels: two images.
        """
        kinds = all_gather_object(_kinds(self._parts))
        none = [(torch.Size([0]), torch.float32), (torch.Size([]), torch.int64)]
        kind = next((kind for kind in kinds if kind), [*none, none[1]])
        parts = self._parts or [tuple(torch.empty(0, *shape, dtype=of) for shape, of in kind)]
        rows = [torch.cat(tensors).to(device) for tensors in zip(*parts, strict=True)]
        self._parts, parts = [], []
        wrong = [message for message in all_gather_object(_two_images(*rows[1:])) if message]
        if wrong:
            raise ValueError(wrong[0])
        order, shards = shard(rows[2])
        repeated = sum(all_gather_object(len(rows[2]))) - shards.size
        if repeated:
            rank_zero_warn(
                f"{repeated} of {repeated + shards.size} evaluated rows have the index of another "
                "row and are left out: a batch's `index` tells which image each row is"
            )
        if len(order) < len(rows[2]) or (order[1:] < order[:-1]).any():
            rows = [tensor[order] for tensor in rows]
        embeddings, labels, ids = rows
        return Embedded(embeddings, labels, ids, shards)


def _two_images(labels: Tensor, ids: Tensor) -> str:
    """What to say if rows with one id have different labels; nothing if they do not."""
    order = ids.argsort(stable=True)
    ids, labels = (
        ids[order],
        labels[order].flatten(1) if labels.ndim > 1 else labels[order][:, None],
    )
    wrong = (ids[1:] == ids[:-1]) & (labels[1:] != labels[:-1]).any(1)
    if not wrong.any():
        return ""
    return (
        f"two rows with index {int(ids[1:][wrong][0])} have different labels: each image needs an "
        "index of its own"
    )


def _kinds(parts: list[tuple[Tensor, ...]]) -> list[tuple[torch.Size, torch.dtype]]:
    return [(part.shape[1:], part.dtype) for part in parts[0]] if parts else []
