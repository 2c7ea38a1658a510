"""Splits of data sets that are image files."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int, Shaped
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2

from ranklight.datamodules.batch import Batch
from ranklight.datamodules.loaders import Key, epochs_and_positions
from ranklight.datamodules.randomness import image_seed, seeded
from ranklight.datamodules.reading.annotations import Location

Transform = Callable[[Image.Image], Tensor]

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ImageFiles(Dataset[Batch]):
    """Some of a data set's image files, seen through a transform.

    What the transform draws from torch's generator follows from (seed, epoch, index) in training
    and from (seed, index) in evaluation, so no number of workers changes an image.

    Args:
        files: All files of the data set.
        labels: One entry a file.
        indices: Which files are in this split.
        transform: From an RGB image to a tensor; all results have one shape.
        seed: Another seed is another augmentation.
        locations: Where each file is referred to, for messages; one entry a file.
    """

    def __init__(
        self,
        files: Sequence[Path],
        labels: Shaped[Tensor, "files ..."],
        indices: Int[np.ndarray, "n"],
        transform: Transform,
        seed: int = 0,
        locations: Sequence[Location] | None = None,
    ) -> None:
        self.indices = torch.from_numpy(indices)
        self.files = [str(files[index]) for index in indices]
        self.labels = labels[self.indices]
        self.transform = transform
        self.seed = seed
        self.locations = None if locations is None else [locations[index] for index in indices]

    def __len__(self) -> int:
        return len(self.files)

    def __getitems__(self, keys: Sequence[Key]) -> Batch:
        """The images of (epoch, position) in training, of positions in evaluation."""
        epochs, positions = epochs_and_positions(keys)
        images = [self._image(*pair) for pair in zip(epochs, positions, strict=True)]
        return Batch(torch.stack(images), self.labels[positions], self.indices[positions])

    def _image(self, epoch: int | None, position: int) -> Tensor:
        image = self._read(position)
        with seeded(image_seed(self.seed, epoch, int(self.indices[position]))):
            return self.transform(image)

    def _read(self, position: int) -> Image.Image:
        try:
            return read_image(self.files[position])
        except ValueError as error:
            if self.locations is None:
                raise
            raise ValueError(f"{self.locations[position]}: {error}") from error


def image_splits(
    files: Sequence[Path],
    labels: Shaped[Tensor, "files ..."],
    splits: Sequence[NDArray[np.int64]],
    training: Transform,
    evaluation: Transform,
    seed: int,
    locations: Sequence[Location] | None = None,
) -> list[ImageFiles]:
    """The splits of a data set; the first is for training, the others are always seen alike.

    Args:
        files: All files of the data set.
        labels: One entry a file.
        splits: The indices of the files in each.
        training: The first split's transform.
        evaluation: That of the others.
        seed: Of what `training` draws.
        locations: Where each file is referred to, for messages; one entry a file.
    """
    train, *others = splits
    return [
        ImageFiles(files, labels, train, training, seed, locations),
        *(
            ImageFiles(files, labels, indices, evaluation, locations=locations)
            for indices in others
        ),
    ]


def read_image(file: str | Path) -> Image.Image:
    """An image file in RGB.

    Raises:
        ValueError: The file is gone, or not a readable image; names it.
    """
    try:
        with Image.open(file) as image:
            return image.convert("RGB")
    except FileNotFoundError as error:
        raise ValueError(f"the image {file} was there at the start and is gone") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{file} is not a readable image: {error}") from error


def check_not_empty(files: Sequence[Path]) -> None:
    """Look at the size of every file, which costs little, before training comes to an empty one.

    Raises:
        ValueError: Some file has no content; names the first.
    """
    empty = [file for file in files if file.stat().st_size == 0]
    if empty:
        raise ValueError(f"{len(empty)} of {len(files)} image files are empty, first {empty[0]}")


def training_transform(image_size: int) -> Transform:
    """A random part of the image (16 % to 100 % of its area), mirrored half of the time.

    With ImageNet's normalisation. The area is that of the multi-similarity paper's code.
    """
    crop = v2.RandomResizedCrop(image_size, scale=(0.16, 1.0), antialias=True)
    return _normalised(crop, v2.RandomHorizontalFlip())


def evaluation_transform(image_size: int, resize: int) -> Transform:
    """The shorter side resized, the centre cut out, with ImageNet's normalisation."""
    return _normalised(v2.Resize(resize, antialias=True), v2.CenterCrop(image_size))


def _normalised(*steps: torch.nn.Module) -> Transform:
    tensor = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.ToPureTensor()]
    composed: Transform = v2.Compose([*steps, *tensor, v2.Normalize(_IMAGENET_MEAN, _IMAGENET_STD)])
    return composed
