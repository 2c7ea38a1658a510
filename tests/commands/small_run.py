"""An experiment of about a second, and data that fails where it is told to."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader, Dataset

from ranklight.datamodules import Batch

CONFIG = """
model:
  class_path: ranklight.lightning_modules.MetricLearning
  init_args:
    encoder:
      class_path: ranklight.models.Encoder
      init_args:
        trunk:
          class_path: ranklight.models.SmallConvNet
          init_args: {width: 8}
        embedding_dim: 4
    objective:
      class_path: ranklight.pairs.Objective
      init_args:
        loss: ranklight.losses.MultiSimilarityLoss
    optimizer:
      class_path: torch.optim.SGD
      init_args: {lr: 1.0e-3}
data:
  class_path: tests.commands.small_run.SmallData
trainer:
  accelerator: cpu
  max_epochs: 1
  enable_model_summary: false
  log_every_n_steps: 1
callbacks:
  evaluation:
    class_path: ranklight.callbacks.RetrievalEvaluation
    init_args: {ks: [1, 2], clustering: false}
"""


class Images(Dataset[Any]):
    """Batches of noise, of files that are not there."""

    def __init__(self, batches: list[Batch], worker_fails: bool, slow: bool) -> None:
        self.batches = batches
        self.slow = slow
        self.worker_fails = worker_fails
        self.indices = torch.cat([batch.index for batch in batches])
        self.files = [f"{number}.png" for number in self.indices.tolist()]

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, position: int) -> Batch:
        if self.worker_fails:
            # As when an image vanishes: in a file of our own, from the worker process.
            from ranklight.datamodules.reading.pictures import read_picture

            read_picture("/no/such/image.png")
        if self.slow:
            time.sleep(600)
        return self.batches[position]


class SmallData(LightningDataModule):
    """16 images of noise for each split, in batches of 8.

    Args:
        images_per_class: In each split.
        fails_in: Where it fails: setup (as ours do), worker (a file that is not there),
            program, interrupt (Ctrl-C), or slow (never in time)
        workers: Processes that read.
    """

    class_names = ("a", "b", "c", "d")

    def __init__(
        self, images_per_class: int = 4, fails_in: str | None = None, workers: int = 0
    ) -> None:
        super().__init__()
        self.fails_in, self.workers = fails_in, workers
        draw = torch.Generator().manual_seed(1)
        index = torch.arange(48)
        images = torch.randn(48, 1, 16, 16, generator=draw)
        columns = zip(
            images.split(8),
            (index % (16 // images_per_class)).split(8),
            index.split(8),
            strict=True,
        )
        batches = [Batch(*column) for column in columns]
        self.splits = batches[:2], batches[2:4], batches[4:]

    def setup(self, stage: str) -> None:
        """Fail, if told to."""
        if self.fails_in == "setup":
            from ranklight.datamodules.reading.annotations import read_text

            read_text(Path("/no/such/list.txt"))
        if self.fails_in == "program":
            raise RuntimeError("the sky is falling")
        if self.fails_in == "interrupt":
            os.kill(os.getpid(), signal.SIGINT)

    def train_dataloader(self) -> Any:
        return self._loader(0)

    def val_dataloader(self) -> Any:
        return self._loader(1)

    def test_dataloader(self) -> Any:
        return self._loader(2)

    predict_dataloader = test_dataloader

    def _loader(self, split: int) -> Any:
        data = Images(self.splits[split], self.fails_in == "worker", self.fails_in == "slow")
        return DataLoader(data, batch_size=None, num_workers=self.workers)
