"""Whatever a user calls an image, as a picture: RGB bytes."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from ranklight.datamodules.reading.pictures import Colour
from ranklight.datamodules.reading.rgb import rgb_pixels
from ranklight.serving.image_lists import images_below

Picture = str | Path | Image.Image | NDArray[Any] | Tensor
"""A file, or pixels: `h w`, `h w 3` of NumPy or `1 h w`, `3 h w` of torch, bytes or 0..1."""
Images = Picture | Sequence[Picture]
"""One image, a folder, a batch of pixels, or a list of any of these."""


def sources_of(images: Images, background: Colour) -> Iterator[Path | UInt8[Tensor, "3 h w"]]:
    """Each image as a file to read or as pixels; folders and batches are taken apart, in order.

    Raises:
        FileNotFoundError: There is no such file or folder, or no image in a folder.
        TypeError: Something is no image.
        ValueError: Pixels of another shape, or floats outside of 0..1.
    """
    if isinstance(images, str | os.PathLike):
        path = Path(images)
        if not path.exists():
            raise FileNotFoundError(f"there is no image or folder {path} (from {Path.cwd()})")
        yield from images_below(path) if path.is_dir() else [path]
    elif isinstance(images, Image.Image):
        yield _of_pillow(images, background)
    elif isinstance(images, np.ndarray):
        yield from _of_array(images)
    elif isinstance(images, Tensor):
        yield from _of_tensor(images)
    elif isinstance(images, Sequence):
        for image in images:
            yield from sources_of(image, background)
    else:
        raise TypeError(
            f"an image is a file, a Pillow image, an array or a tensor; got {type(images).__name__}"
        )


def _of_pillow(image: Image.Image, background: Colour) -> UInt8[Tensor, "3 h w"]:
    upright = ImageOps.exif_transpose(image)
    return torch.from_numpy(rgb_pixels(upright, background)).permute(2, 0, 1).contiguous()


def _of_array(array: NDArray[Any]) -> list[UInt8[Tensor, "3 h w"]]:
    if array.ndim == 2:
        array = array[..., None]
    channels_first = torch.from_numpy(np.ascontiguousarray(np.moveaxis(array, -1, -3)))
    return _of_tensor(channels_first)


def _of_tensor(tensor: Tensor) -> list[UInt8[Tensor, "3 h w"]]:
    batch = tensor[None] if tensor.ndim == 3 else tensor
    if batch.ndim != 4 or batch.shape[1] not in (1, 3):
        raise ValueError(
            "pixels must be h w 3, h w 1, h w or n h w 3 as an array, 3 h w, 1 h w or n 3 h w as a "
            f"tensor; got {list(tensor.shape)} (channels before height and width)"
        )
    return list(_bytes_of(batch.detach().cpu()).expand(-1, 3, -1, -1))


def _bytes_of(pixels: Tensor) -> UInt8[Tensor, "n c h w"]:
    if pixels.dtype == torch.uint8:
        return pixels
    if not pixels.is_floating_point():
        raise ValueError(f"pixels must be bytes (uint8) or floats of 0..1; got {pixels.dtype}")
    if not bool(((pixels >= 0) & (pixels <= 1)).all()):
        raise ValueError(
            "pixels that are floats must be of 0..1, and not normalised, which the encoder does; "
            f"got {pixels.min():.3g}..{pixels.max():.3g}"
        )
    return (pixels.float() * 255).round().to(torch.uint8)
