"""What a run's evaluation sees of a picture."""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from ranklight.datamodules.randomness import seeded
from ranklight.datamodules.reading.pictures import WHITE, Box
from ranklight.datamodules.reading.reader import reader_for
from ranklight.datamodules.reading.transforms import center, chain

# Of ITU-R BT.601, as Pillow and torchvision have them.
_GREY = torch.tensor((0.299, 0.587, 0.114)).view(3, 1, 1)


class View:
    """From an RGB picture to what the encoder takes of it: `view(picture)`, `view.read(file)`.

    The `eval_transforms` of the run's data module. Where it has none, as those that draw their
    pictures: the shorter side resized, the center cut out; in grey if the run's pictures were.

    Args:
        data: The run's data module, which has read nothing.
        shape: Channels, height and width of the run's pictures.
    """

    def __init__(self, data: Any, shape: tuple[int, int, int]) -> None:
        channels, height, width = shape
        self.shape = shape
        transforms = getattr(data, "eval_transforms", None)
        if transforms is None:
            transforms = center((height, width), min(height, width))
        self.background = getattr(data, "background", WHITE)
        self.whole = chain(transforms)
        self.reader, self.rest = reader_for(self.whole)
        self.grey = channels == 1

    def __call__(
        self, picture: UInt8[Tensor, "3 h w"]
    ) -> UInt8[Tensor, "c i j"] | Float[Tensor, "c i j"]:
        """What is seen of a picture."""
        return self._seen(self.whole, picture)

    def read(
        self, file: str | Path, box: Box | None = None
    ) -> UInt8[Tensor, "c i j"] | Float[Tensor, "c i j"]:
        """What is seen of a file, or of a box in it.

        Raises:
            ValueError: It cannot be read; names the file.
        """
        return self._seen(self.rest, self.reader(file, background=self.background, box=box))

    def _seen(self, transform: Any, picture: Tensor) -> Tensor:
        # A transform that draws in evaluation draws the same for every picture.
        with seeded(0):
            seen: Tensor = transform(picture)
        seen = _grey(seen) if self.grey else seen
        if seen.shape != self.shape:
            raise ValueError(
                f"the run's eval_transforms must give pictures of {list(self.shape)}, as in "
                f"training; of one of {list(picture.shape)} they gave {list(seen.shape)}"
            )
        return seen


def _grey(picture: Tensor) -> Tensor:
    """Brightness; torchvision's, which rounds down, makes a grey picture darker by one."""
    brightness = (picture.float() * _GREY).sum(0, keepdim=True)
    if picture.dtype == torch.uint8:
        return brightness.round().to(torch.uint8)
    return brightness.to(picture.dtype)
