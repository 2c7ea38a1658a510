"""Every picture, read as training reads it, on all cores."""

import os
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from jaxtyping import Bool, Int32, UInt8, UInt64
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from ranklight.datamodules.examination.perceptual_hash import perceptual_hash
from ranklight.datamodules.loaders import evaluation_loader
from ranklight.datamodules.reading.image_files import ImageFiles
from ranklight.datamodules.reading.pictures import read_picture

_CHUNK = 16
_ONE_PROCESS = 256
_LEAST_SIDE = 64
_ONE_COLOUR = 2


class Pictures(NamedTuple):
    """What was seen of a number of files, a row each; about 50 bytes.

    Attributes:
        content: 128 bits of the file's bytes and of the box in it.
        hashes: The perceptual hash.
        colours: The picture on 4 × 4 pixels.
        sides: Width and height as the file's header has them; 0 where there is none.
        uniform: It is of one colour.
        readable: The picture could be decoded; the columns above say nothing where it could not.
        broken: Where it could not, why.
    """

    content: UInt64[np.ndarray, "n 2"]
    hashes: UInt64[np.ndarray, "n"]
    colours: UInt8[np.ndarray, "n 48"]
    sides: Int32[np.ndarray, "n 2"]
    uniform: Bool[np.ndarray, "n"]
    readable: Bool[np.ndarray, "n"]
    broken: list[str]

    @classmethod
    def joined(cls, parts: Sequence["Pictures"]) -> "Pictures":
        """All of several, in their order."""
        columns = list(zip(*(part[:-1] for part in parts), strict=True))
        joined: list[Any] = [np.concatenate(column) for column in columns]
        return cls._make([*joined, [sentence for part in parts for sentence in part.broken]])


def examine_pictures(
    split: ImageFiles, advance: Callable[[int], object] = lambda done: None
) -> Pictures:
    """Read and decode every picture of a split.

    Args:
        split: Its files, with their boxes and their background.
        advance: Called with a number of files when they are done.
    """
    workers = _cores() if len(split) >= _ONE_PROCESS else 0
    loader = evaluation_loader(_Examined(split), _CHUNK, workers)
    parts = [_nothing()]
    for part in cast(Any, loader):
        parts.append(part)
        advance(len(part.hashes))
    return Pictures.joined(parts)


class _Examined(Dataset[Any]):
    """A split seen through the examination; what torch's loader takes."""

    def __init__(self, split: ImageFiles) -> None:
        self.split = split

    def __len__(self) -> int:
        return len(self.split)

    def __getitems__(self, positions: Sequence[int]) -> Pictures:
        return Pictures.joined([_examine(self.split, position) for position in positions])


def _examine(split: ImageFiles, position: int) -> Pictures:
    file = split.files[position]
    box = None if split.boxes is None else split.boxes[position]
    found = _nothing(1)
    try:
        found.content[0] = _content(file, box)
        found.sides[0] = _sides(file)
        picture = read_picture(file, split.background, box, _LEAST_SIDE)
    except (ValueError, OSError) as error:
        where = "" if split.locations is None else f"{split.locations[position]}: "
        found.broken.append(f"{where}{error}")
        return found
    found.hashes[0] = perceptual_hash(picture)
    found.colours[0] = _colours(picture)
    found.uniform[0] = _is_uniform(picture)
    found.readable[0] = True
    return found


def _content(file: str, box: object) -> UInt64[np.ndarray, "2"]:
    digest = blake2b(Path(file).read_bytes(), digest_size=16)
    digest.update(repr(box).encode())
    return np.frombuffer(digest.digest(), np.uint64)


def _sides(file: str) -> tuple[int, int]:
    """Zeros where Pillow does not know the format: the reader says what is wrong, or reads it."""
    try:
        with Image.open(file) as image:
            return image.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return 0, 0


def _colours(picture: UInt8[Tensor, "c h w"]) -> UInt8[np.ndarray, "48"]:
    small = torch.nn.functional.adaptive_avg_pool2d(picture.float(), 4)
    return small.expand(3, 4, 4).flatten().round().to(torch.uint8).numpy()


def _is_uniform(picture: UInt8[Tensor, "c h w"]) -> bool:
    lowest, highest = picture.flatten(1).aminmax(dim=1)
    return bool((highest.int() - lowest.int() <= _ONE_COLOUR).all())


def _nothing(rows: int = 0) -> Pictures:
    return Pictures(
        np.zeros((rows, 2), np.uint64),
        np.zeros(rows, np.uint64),
        np.zeros((rows, 48), np.uint8),
        np.zeros((rows, 2), np.int32),
        np.zeros(rows, bool),
        np.zeros(rows, bool),
        [],
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
