"""What modules ask of a data module, without data: for those who have a checkpoint alone."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Int
from pytorch_lightning import LightningDataModule
from torch import Tensor

from ranklight.datamodules import Batch


class StandInData(LightningDataModule):
    """Stands for the data that a module was trained on, in its `complete`.

    Args:
        num_classes: Of the module's classifier; 0 without one.
        picture_shape: Channels, height and width of its pictures.
    """

    def __init__(self, num_classes: int, picture_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.class_names = [str(number) for number in range(num_classes)]
        self.train = _BlackPictures(torch.arange(max(num_classes, 1)), picture_shape)


class _BlackPictures(NamedTuple):
    labels: Int[Tensor, " c"]
    shape: tuple[int, int, int]

    def __getitems__(self, keys: Sequence[int]) -> Batch:
        pictures = torch.zeros(len(keys), *self.shape, dtype=torch.uint8)
        return Batch(pictures, self.labels[list(keys)], torch.tensor(keys))
