"""A run that is told to end saves itself first."""

import signal
import threading
from typing import Any

import torch
import torch.distributed as dist
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_info
from pytorch_lightning.utilities.exceptions import SIGTERMException

from ranklight.datamodules import Batch
from ranklight.kernels.distributed import in_group
from ranklight.running.last_checkpoint import LastCheckpoint

EXIT_CODE = 128 + signal.SIGTERM


class SaveOnTermination(Callback):
    """On SIGTERM, which clusters send before they take a machine away, saves `last.ckpt` and ends.

    The step, a validation that is under way and accumulated gradients are finished first; then all
    ranks agree, save and end with code 143, whichever of them was told. The run goes on from there
    by `--ckpt_path last`.

    Lightning's own handler calls a collective wherever the signal finds it and ends ranks at
    different steps, which hangs; it is replaced while a model is trained.
    """

    def __init__(self) -> None:
        self._told = False
        self._ranks: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen; Lightning takes the handler away again when it is done."""
        self._told = trainer.received_sigterm
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._listen)
        if in_group():
            self._ranks = dist.new_group(backend="gloo")

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """End before this step, if a rank was told to."""
        if batch_idx % trainer.accumulate_grad_batches or not self._any_rank_told():
            return
        for last in trainer.checkpoint_callbacks:
            if isinstance(last, LastCheckpoint):
                last.save(trainer)
                rank_zero_info(f"told to end: saved {last.path(trainer)}, continue it as 'last'")
        raise SIGTERMException(EXIT_CODE)

    def _listen(self, *_: Any) -> None:
        self._told = True

    def _any_rank_told(self) -> bool:
        """Asked between the hosts: nothing waits for a GPU."""
        if self._ranks is None:
            return self._told
        told = torch.tensor(self._told, dtype=torch.int32)
        dist.all_reduce(told, op=dist.ReduceOp.MAX, group=self._ranks)
        return bool(told)
