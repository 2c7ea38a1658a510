"""What data modules of image files share: how pictures are read and what is seen of them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from jaxtyping import Int, Shaped
from torch import Tensor
from torch.utils.data import Dataset

from ranklight.datamodules.batch import Batch
from ranklight.datamodules.reading.annotations import Location
from ranklight.datamodules.reading.copies import warn_of_copies
from ranklight.datamodules.reading.image_files import ImageFiles
from ranklight.datamodules.reading.pictures import Box, Colour
from ranklight.datamodules.reading.transforms import (
    Size,
    Transform,
    center,
    chain,
    check_transforms,
    random_part,
)
from ranklight.datamodules.split_data import SplitData


class ImageFileData(SplitData):
    """Image files in three splits, as RGB pictures of one size.

    A subclass has `setup`, which calls `pictures`. What a network was trained with is the encoder's
    business: nothing is normalised here.

    Args:
        image_size: Side of the squares that the model sees, in pixels, or [height, width].
        resize: The shorter side before the center of `image_size` is cut out, in evaluation; by
            default 256 for every 224 of `image_size`, as networks on ImageNet are tested.
        train_transforms: What training does to a picture, a list of torchvision.transforms.v2 or of
            one's own, each given an RGB picture of bytes; by default `default_train_transforms`.
        eval_transforms: What validation, test and prediction do to it; by default
            `default_eval_transforms`.
        background: The colour, of 0..255, that is seen through transparent pixels.
        **options: Of `SplitData`: seeds and loaders.

    Raises:
        ValueError: A size below 1, a center larger than what it is cut from, `resize` beside
            `eval_transforms` or where whole pictures are seen, or transforms that give no picture
            of `image_size`.
    """

    def __init__(
        self,
        image_size: int | tuple[int, int] = 224,
        resize: int | None = None,
        train_transforms: list[Callable[[Any], Any]] | None = None,
        eval_transforms: list[Callable[[Any], Any]] | None = None,
        background: Colour = (255, 255, 255),
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.image_size = _height_and_width(image_size)
        if resize is not None and eval_transforms is not None:
            raise ValueError(
                f"resize {resize} is of the default eval_transforms: give it in your own instead"
            )
        self.resize = round(min(self.image_size) * 256 / 224) if resize is None else resize
        if self.resize < min(self.image_size):
            raise ValueError(
                f"resize must be at least image_size, or evaluation sees a black frame; got "
                f"resize {self.resize} and image_size {image_size}"
            )
        if len(background) != 3 or not all(
            isinstance(channel, int) and 0 <= channel <= 255 for channel in background
        ):
            raise ValueError(f"background must be three numbers of 0..255; got {background}")
        self.background = background
        self.train_transforms = (
            self.default_train_transforms() if train_transforms is None else train_transforms
        )
        self.eval_transforms = (
            self.default_eval_transforms() if eval_transforms is None else eval_transforms
        )
        if resize is not None and eval_transforms is None:
            self._check_resize_is_used(resize)
        check_transforms("train_transforms", self.train_transforms, self.image_size)
        check_transforms("eval_transforms", self.eval_transforms, self.image_size)

    def _check_resize_is_used(self, resize: int) -> None:
        self.resize = resize + 1
        otherwise = str(self.default_eval_transforms())
        self.resize = resize
        if otherwise == str(self.eval_transforms):
            raise ValueError(
                f"resize {resize} changes nothing: evaluation sees whole pictures, squashed to "
                "image_size; leave it out, or give eval_transforms"
            )

    def default_train_transforms(self) -> list[Transform]:
        """A random part of the picture, mirrored half of the time."""
        return random_part(self.image_size)

    def default_eval_transforms(self) -> list[Transform]:
        """The shorter side resized, the center cut out."""
        return center(self.image_size, self.resize)

    def pictures(
        self,
        files: Sequence[str | Path],
        labels: Shaped[Tensor, "files ..."],
        splits: Sequence[Int[np.ndarray, "_"]],
        locations: Sequence[Location] | None = None,
        boxes: Sequence[Box | None] | None = None,
    ) -> list[ImageFiles]:
        """The splits of a data set; the first is for training, the others are always seen alike.

        Args:
            files: All files of the data set.
            labels: One entry a file.
            splits: The indices of the files in each.
            locations: Where each file is referred to, for messages; one entry a file.
            boxes: The part of each file that is the image, None for all of it; one entry
                a file.
        """
        train, *others = splits
        views = [(train, self.train_transforms, self.seed)]
        views += [(indices, self.eval_transforms, 0) for indices in others]
        return [
            ImageFiles(
                files, labels, indices, chain(transforms), seed, locations, boxes, self.background
            )
            for indices, transforms, seed in views
        ]

    def train_seen_alike(self) -> Dataset[Batch]:
        """The training split through `eval_transforms`."""
        return cast(ImageFiles, self.train).seen_through(chain(self.eval_transforms))

    def warn_of_copies(self) -> None:
        """Warn of images that are in more than one split, once these are set."""
        warn_of_copies(
            [
                (name, getattr(side, "files", ()))
                for name, split in (("train", self.train), ("val", self.val), ("test", self.test))
                for side in (split if isinstance(split, Sequence) else [split])
            ]
        )


def _height_and_width(image_size: int | tuple[int, int]) -> Size:
    size = (image_size, image_size) if isinstance(image_size, int) else image_size
    pair = isinstance(size, Sequence) and len(size) == 2
    if not pair or not all(isinstance(side, int) and side >= 1 for side in size):
        raise ValueError(
            f"image_size must be a side or [height, width] of whole pixels from 1; got {image_size}"
        )
    return size[0], size[1]
