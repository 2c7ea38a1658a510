"""Pictures to embed, read in worker processes, broken ones with the reason."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from ranklight.datamodules.loaders import evaluation_loader
from ranklight.datamodules.reading.pictures import Box
from ranklight.serving.view import View


class ReadPictures(NamedTuple):
    """A batch of sources, as far as they could be read.

    Args:
        pictures: Of those that could.
        readable: Their positions in the batch.
        errors: Of each position, why it could not be read, or None.
    """

    pictures: UInt8[Tensor, "m c h w"] | Float[Tensor, "m c h w"]
    readable: list[int]
    errors: list[str | None]


class Sources(Dataset[ReadPictures]):
    """Files and pictures, seen as a run's evaluation sees them.

    Args:
        sources: Files, or RGB pictures of bytes.
        view: What is seen.
        boxes: The part of each file that is the image; None for whole pictures.
    """

    def __init__(
        self,
        sources: Sequence[str | Path | Tensor],
        view: View,
        boxes: Sequence[Box | None] | None = None,
    ) -> None:
        self.sources, self.view, self.boxes = sources, view, boxes

    def __len__(self) -> int:
        return len(self.sources)

    def __getitems__(self, positions: Sequence[int]) -> ReadPictures:
        """The pictures of positions."""
        pictures: list[Tensor] = []
        readable: list[int] = []
        errors: list[str | None] = []
        for place, position in enumerate(positions):
            try:
                pictures.append(self._seen(position))
            except ValueError as error:
                errors.append(_reason(self.sources[position], error))
            else:
                readable.append(place)
                errors.append(None)
        none = torch.zeros(0, *self.view.shape, dtype=torch.uint8)
        return ReadPictures(torch.stack(pictures) if pictures else none, readable, errors)

    def _seen(self, position: int) -> Tensor:
        source = self.sources[position]
        if isinstance(source, Tensor):
            return self.view(source)
        return self.view.read(source, None if self.boxes is None else self.boxes[position])


def _reason(source: str | Path | Tensor, error: ValueError) -> str:
    if isinstance(error.__cause__, FileNotFoundError):
        return f"there is no file {source}"
    return str(error)


def read_batches(sources: Sources, batch_size: int, workers: int) -> Iterable[ReadPictures]:
    """The sources in batches, in order."""
    loader: Any = evaluation_loader(cast(Any, sources), batch_size, workers)
    batches: Iterable[ReadPictures] = loader
    return batches
