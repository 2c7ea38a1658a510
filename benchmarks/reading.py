"""From a JPEG file to what training sees, beside the way over a Pillow image, on one core.

Each call reads the same few pictures: decoded, cut by `RandomResizedCrop(224)`, and mirrored half
of the time. The peer opens them with Pillow and transforms a Pillow image; the limit decodes
the whole and does nothing else, by libjpeg-turbo, which ours undercuts where a crop needs less.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from simplejpeg import decode_jpeg
from torch import Tensor
from torchvision.transforms import v2

from benchmarks.measure import Comparison, Work, compare_with_peer, median_alone
from benchmarks.photographs import photograph
from ranklight.datamodules.reading.pictures import WHITE
from ranklight.datamodules.reading.reader import reader_for

SIDE = 224
STEPS = [v2.RandomResizedCrop(SIDE), v2.RandomHorizontalFlip()]
READ, REST = reader_for(v2.Compose(STEPS))
# Width and height, how many pictures, how much faster than the peer.
SIZES = [(500, 375, 16, 2.0), (1024, 768, 8, 1.9), (4000, 3000, 2, 5.0)]


def main() -> bool:
    with TemporaryDirectory() as folder:
        files = {size: write_pictures(Path(folder), *size[:3]) for size in SIZES}
        title = f"Reading JPEG: decode, RandomResizedCrop({SIDE}), flip (limit: decode)"
        met = compare_with_peer(title, [_row(size, files[size]) for size in SIZES])
        print()
        for size in SIZES:
            _print_speed(size, files[size])
    return met


def write_pictures(folder: Path, width: int, height: int, number: int) -> list[Path]:
    """JPEG files of quality 90."""
    files = [folder / f"{width}x{height}_{seed}.jpg" for seed in range(number)]
    for seed, file in enumerate(files):
        photograph(width, height, seed).save(file, quality=90)
    return files


def _row(size: tuple[int, int, int, float], files: Sequence[Path]) -> Comparison:
    width, height, number, at_least = size
    return Comparison(
        item="Pillow, then v2 on its image",
        size=f"{number} of {width} x {height}",
        peer=_each(files, _by_pillow),
        ours=_each(files, ours),
        limit=_each(files, _decode),
        at_least=at_least,
        memory=64,
        repeats=11,
    )


def _print_speed(size: tuple[int, int, int, float], files: Sequence[Path]) -> None:
    speeds = [
        len(files) / median_alone(_each(files, read), 5) for read in (_by_pillow, ours, _decode)
    ]
    by_pillow, own, decoded = (f"{speed:,.0f}" for speed in speeds)
    print(
        f"- {size[0]} x {size[1]}: {own} images a second of one core, {by_pillow} by Pillow, "
        f"{decoded} decoded whole and no more"
    )


def _each(files: Sequence[Path], read: Callable[[Path], object]) -> Work:
    def work() -> None:
        torch.manual_seed(0)
        for file in files:
            read(file)

    return work


def ours(file: Path) -> Tensor:
    image: Tensor = REST(READ(str(file), background=WHITE, box=None))
    return image


def _by_pillow(file: Path) -> Tensor:
    with Image.open(file) as opened:
        image: Tensor = v2.Compose([*STEPS, v2.ToImage()])(opened.convert("RGB"))
    return image


def _decode(file: Path) -> NDArray[np.uint8]:
    return decode_jpeg(file.read_bytes())
