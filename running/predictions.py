"""What the model predicts, in a file."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor

from ranklight.datamodules import Batch
from ranklight.running.writing import replacing


class SavePredictions(Callback):
    """Writes everything that `predict_step` returns to `predictions.npz` of the run.

    One array a key, one row an image, in the order of the loader. On several processes each writes
    its share to `predictions-<rank>.npz`; `index` tells which images these are.
    """

    def __init__(self) -> None:
        self._parts: dict[str, list[Tensor]] = {}

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Collect a batch, off the device."""
        for name, tensor in outputs.items():
            self._parts.setdefault(name, []).append(tensor.detach().cpu())

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the file."""
        shard = f"-{trainer.global_rank}" if trainer.world_size > 1 else ""
        path = Path(trainer.default_root_dir) / f"predictions{shard}.npz"
        arrays: dict[str, Any] = {
            name: torch.cat(parts).numpy() for name, parts in self._parts.items()
        }
        with replacing(path) as fresh, fresh.open("wb") as file:
            np.savez(file, **arrays)
        self._parts.clear()
        rank_zero_info(f"predictions: {path}")
