"""A run that gets SIGTERM saves itself before it ends."""

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
    ranks agree, save and end with code 143, whichever of them got the signal. The run goes on from
    there by `--ckpt_path last`.

    Lightning's own handler calls a collective wherever the signal finds it and ends ranks at
    different steps, which hangs; it is replaced while a model is trained.
    """

    def __init__(self) -> None:
        self._signalled = False
        self._gloo_group: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen; Lightning takes the handler away again when it is done."""
        self._signalled = trainer.received_sigterm
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._listen)
        if in_group():
            self._gloo_group = dist.new_group(backend="gloo")

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """End before this step, if a rank got the signal."""
        if batch_idx % trainer.accumulate_grad_batches or not self._any_rank_signalled():
            return
        for last in trainer.checkpoint_callbacks:
            if isinstance(last, LastCheckpoint):
                last.save(trainer)
                rank_zero_info(f"SIGTERM: saved {last.path(trainer)}, go on by --ckpt_path last")
        raise SIGTERMException(EXIT_CODE)

    def _listen(self, *_: Any) -> None:
        self._signalled = True

    def _any_rank_signalled(self) -> bool:
        """Reduced over gloo, between the hosts, so that nothing waits for a GPU."""
        if self._gloo_group is None:
            return self._signalled
        signalled = torch.tensor(self._signalled, dtype=torch.int32)
        dist.all_reduce(signalled, op=dist.ReduceOp.MAX, group=self._gloo_group)
        return bool(signalled)
