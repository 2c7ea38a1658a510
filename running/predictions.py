"""What the model predicts, in a file."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor

from ranklight.datamodules import Batch
from ranklight.files.writing import replacing


class SavePredictions(Callback):
    """Writes everything that `predict_step` returns to `predictions.npz` of the run.

    One array a key, one row an image, in the order of the loader; bfloat16, which NumPy does not
    have, as float32. Where the data knows them, `files` has each row's file and `class_names` what
    the class numbers are called. On several processes each writes its share to
    `predictions-<rank>.npz`; `index` tells which images these are.
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
            wide = tensor.float() if tensor.dtype == torch.bfloat16 else tensor
            self._parts.setdefault(name, []).append(wide.detach().cpu())

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the file."""
        shard = f"-{trainer.global_rank}" if trainer.world_size > 1 else ""
        path = Path(trainer.default_root_dir) / f"predictions{shard}.npz"
        arrays: dict[str, Any] = {
            name: torch.cat(parts).numpy() for name, parts in self._parts.items()
        }
        with replacing(path) as fresh, fresh.open("wb") as file:
            np.savez(file, **arrays, **_names(trainer, arrays.get("index")))
        self._parts.clear()
        rank_zero_info(f"predictions: {path}")


def _names(trainer: Trainer, index: Any) -> dict[str, Any]:
    loaders: Any = trainer.predict_dataloaders
    loaders = loaders if isinstance(loaders, list) else [loaders]
    datasets: list[Any] = [getattr(loader, "dataset", None) for loader in loaders]
    by_index = {
        int(number): file
        for dataset in datasets
        if hasattr(dataset, "files") and hasattr(dataset, "indices")
        for number, file in zip(dataset.indices, dataset.files, strict=True)
    }
    found: dict[str, Any] = {}
    if by_index and index is not None:
        found["files"] = np.array([by_index[int(number)] for number in index])
    classes = getattr(getattr(trainer, "datamodule", None), "class_names", None)
    return found if classes is None else {**found, "class_names": np.array(list(classes))}
