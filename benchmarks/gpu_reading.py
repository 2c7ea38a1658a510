"""Whether a training step of ResNet-50 waits for its pictures: 16 workers beside the GPU.

Workers read JPEG files of 500 x 375, cut and mirror them as in `benchmarks.reading`, and hand over
batches. A step waits where they give fewer images a second than it takes.
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.gpu_training_step import BATCH, images_a_second
from benchmarks.reading import ours, write_pictures

WORKERS, BATCHES, FILES = 16, 60, 64


def main(device: str = "cuda") -> bool:
    with TemporaryDirectory() as folder:
        read = _read_a_second(write_pictures(Path(folder), 500, 375, FILES))
    trained = images_a_second(device)
    cores = len(os.sched_getaffinity(0))
    print(f"\n## Reading for a step of ResNet-50, {WORKERS} workers on {cores} cores\n")
    print(f"- {read:,.0f} images a second read, {trained:,.0f} trained on: ", end="")
    print(
        "no step waits"
        if read >= trained
        else f"**steps wait** {1 - read / trained:.0%} of the time"
    )
    return read >= trained or cores < WORKERS


class _Pictures(Dataset[Tensor]):
    def __init__(self, files: Sequence[Path]) -> None:
        self.files = files

    def __len__(self) -> int:
        return BATCHES * BATCH

    def __getitem__(self, position: int) -> Tensor:
        return ours(self.files[position % len(self.files)])


def _read_a_second(files: Sequence[Path]) -> float:
    loader = DataLoader(_Pictures(files), BATCH, num_workers=WORKERS, pin_memory=True)
    batches = iter(loader)
    # What workers made ready while they were started does not count.
    for _ in range(BATCHES // 3):
        next(batches)
    start = time.perf_counter()
    counted = sum(len(batch) for batch in batches)
    return counted / (time.perf_counter() - start)
