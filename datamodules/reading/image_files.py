"""Splits of data sets that are image files."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from jaxtyping import Int, Shaped, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from ranklight.datamodules.batch import Batch
from ranklight.datamodules.loaders import Key, epochs_and_positions
from ranklight.datamodules.randomness import image_seed, seeded
from ranklight.datamodules.reading.annotations import Location
from ranklight.datamodules.reading.pictures import Box, Colour, read_picture
from ranklight.datamodules.reading.reader import Reader, reader_for
from ranklight.datamodules.reading.transforms import Transform


class ImageFiles(Dataset[Batch]):
    """Some of a data set's image files, seen through a transform.

    What the transform draws from global generators follows from (seed, epoch, index) in training
    and from (seed, index) in evaluation, so no number of workers changes an image.

    Args:
        files: All files of the data set.
        labels: One entry a file.
        indices: Which files are in this split.
        transform: From an RGB picture, `3 h w` of bytes, to one; all results have one shape.
        seed: Another seed is another augmentation.
        locations: Where each file is referred to, for messages; one entry a file.
        boxes: The part of each file that is the image (left, top, right, bottom), None for all of
            it; one entry a file.
        background: Seen through transparent pixels.

    Attributes:
        groups: A number for each image's camera, session, ..., −1 for none; None without groups.
        roles: 0 for a query, 1 in the gallery, 2 for a distractor, −1 for none; None without roles.
        levels: Further classes of each image, by their names: `super_class`, for example.
    """

    groups: Int[Tensor, "n"] | None = None
    roles: Int[Tensor, "n"] | None = None
    levels: Mapping[str, Int[Tensor, "n"]] = MappingProxyType({})

    def __init__(
        self,
        files: Sequence[str | Path],
        labels: Shaped[Tensor, "files ..."],
        indices: Int[np.ndarray, "n"],
        transform: Transform,
        seed: int = 0,
        locations: Sequence[Location] | None = None,
        boxes: Sequence[Box | None] | None = None,
        background: Colour = (255, 255, 255),
    ) -> None:
        self.indices = torch.from_numpy(indices)
        self.files = [str(files[index]) for index in indices]
        self.labels = labels[self.indices]
        self.reader, self.transform = reader_for(transform)
        self.seed = seed
        self.locations = None if locations is None else [locations[index] for index in indices]
        self.boxes = None if boxes is None else [boxes[index] for index in indices]
        self.background = background

    def __len__(self) -> int:
        return len(self.files)

    def seen_through(self, transform: Transform) -> "ImageFiles":
        """The same images, seen through another transform."""
        seen = copy.copy(self)
        seen.reader, seen.transform = reader_for(transform)
        return seen

    def __getitems__(self, keys: Sequence[Key]) -> Batch:
        """The images of (epoch, position) in training, of positions in evaluation."""
        epochs, positions = epochs_and_positions(keys)
        images = [self._image(*pair) for pair in zip(epochs, positions, strict=True)]
        return Batch(torch.stack(images), self.labels[positions], self.indices[positions])

    def _image(self, epoch: int | None, position: int) -> Tensor:
        with seeded(image_seed(self.seed, epoch, int(self.indices[position]))):
            transformed: Tensor = self.transform(self._read(position, self.reader))
        return transformed

    def picture(self, position: int) -> UInt8[Tensor, "3 h w"]:
        """An image as it is in its file, before any transform.

        Raises:
            ValueError: It cannot be read; names the file and where that is written.
        """
        return self._read(position, read_picture)

    def _read(self, position: int, read: Reader) -> UInt8[Tensor, "3 h w"]:
        box = None if self.boxes is None else self.boxes[position]
        try:
            return read(self.files[position], background=self.background, box=box)
        except ValueError as error:
            if self.locations is None:
                raise
            raise ValueError(f"{self.locations[position]}: {error}") from error


def check_not_empty(files: Sequence[Path]) -> None:
    """Look at the size of every file, which costs little, before training comes to an empty one.

    Raises:
        ValueError: Some file has no content; names the first.
    """
    empty = [file for file in files if file.stat().st_size == 0]
    if empty:
        raise ValueError(f"{len(empty)} of {len(files)} image files are empty, first {empty[0]}")
