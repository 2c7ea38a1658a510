"""How much of training is spent waiting for the next batch."""

from time import perf_counter
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer


class DataWait(Callback):
    """Logs `train/data_wait` at the end of each epoch: the loader's share of its steps, 0..1.

        waited / (waited + stepped)

    From the end of a step to the beginning of the next one the process waits for a batch; what
    validation takes in between does not count. On a GPU a step ends for the process before it ends
    on the device, so a share of nearly 0 says that batches are ready in time; above about 0.1, more
    `num_workers` or smaller images help.
    """

    def __init__(self) -> None:
        self._waited = self._stepped = 0.0
        self._since: float | None = None

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """An epoch is counted by itself."""
        self._waited = self._stepped = 0.0
        self._since = None

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """The batch is there."""
        now = perf_counter()
        if self._since is not None:
            self._waited += now - self._since
        self._since = now

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """The step is done."""
        now = perf_counter()
        if self._since is not None:
            self._stepped += now - self._since
        self._since = now

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Nothing of it is the training loader's."""
        self._since = None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the share, of the slowest rank: the others wait for it."""
        total = self._waited + self._stepped
        if total:
            share = self._waited / total
            pl_module.log("train/data_wait", share, sync_dist=True, reduce_fx="max")
