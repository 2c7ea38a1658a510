"""A run that is told to stop saves itself before it ends."""

import shlex
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import torch
import torch.distributed as dist
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_info
from pytorch_lightning.utilities.exceptions import SIGTERMException

from ranklight.datamodules import Batch
from ranklight.kernels.distributed import in_group
from ranklight.running.last_checkpoint import LastCheckpoint


class SaveOnTermination(Callback):
    """On SIGTERM and on Ctrl-C, saves `last.ckpt` and ends.

    Clusters send SIGTERM before they take a machine away. The step, a validation that is under way
    and accumulated gradients are finished first; then all ranks agree, save and end with code 143
    (130 after Ctrl-C), whichever of them got the signal, and say by which command the run goes on.
    A second Ctrl-C ends the run where it is. There is nothing to save in validation on its own, in
    a test or a prediction: they end at once.

    Lightning's own handler calls a collective wherever the signal finds it and ends ranks at
    different steps, which hangs; it is replaced while a model is trained.
    """

    def __init__(self) -> None:
        self._signal = 0
        self._gloo_group: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen; Lightning takes the handlers away again when it is done."""
        self._signal = signal.SIGTERM if trainer.received_sigterm else 0
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._listen)
        if in_group():
            self._gloo_group = dist.new_group(backend="gloo")

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """End before this step, if a rank got a signal."""
        if batch_idx % trainer.accumulate_grad_batches:
            return
        number = self._of_any_rank()
        if not number:
            return
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        for last in trainer.checkpoint_callbacks:
            if isinstance(last, LastCheckpoint):
                last.save(trainer)
                config = Path(trainer.default_root_dir) / "config.yaml"
                command = ["ranklight", "fit", "-c", str(config), "--ckpt_path", "last"]
                rank_zero_info(
                    f"{name}: saved {last.path(trainer)}; it goes on by\n  {shlex.join(command)}"
                )
        raise SIGTERMException(128 + number)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """What comes after training is not saved by a step."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen in validation on its own."""
        if trainer.state.fn == "validate":
            _end_when_told(trainer)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen in a test."""
        _end_when_told(trainer)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen in a prediction."""
        _end_when_told(trainer)

    def _listen(self, number: int, frame: FrameType | None) -> None:
        if number == self._signal == signal.SIGINT:
            raise KeyboardInterrupt
        self._signal = number

    def _of_any_rank(self) -> int:
        """Reduced over gloo, between the hosts, so that nothing waits for a GPU."""
        if self._gloo_group is None:
            return self._signal
        number = torch.tensor(int(self._signal), dtype=torch.int32)
        dist.all_reduce(number, op=dist.ReduceOp.MAX, group=self._gloo_group)
        return int(number)


def _end_when_told(trainer: Trainer) -> None:
    if threading.current_thread() is not threading.main_thread():
        return
    if trainer.received_sigterm:
        raise SIGTERMException(128 + signal.SIGTERM)

    def end(number: int, frame: FrameType | None) -> NoReturn:
        if trainer.strategy.launcher is not None:
            trainer.strategy.launcher.kill(number)
        raise SIGTERMException(128 + number)

    signal.signal(signal.SIGTERM, end)
