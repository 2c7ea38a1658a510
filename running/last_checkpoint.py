"""`last.ckpt`: where a run goes on."""

from datetime import timedelta
from pathlib import Path
from time import monotonic

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities.types import STEP_OUTPUT

from ranklight.datamodules import Batch


class LastCheckpoint(Checkpoint):
    """Saves `last.ckpt` after every so many epochs, steps or minutes, and when training ends.

    Unlike `ModelCheckpoint`, which saves before a step was logged and validated, this one waits
    until both are done. So a run that goes on from here lacks neither, and repeats neither.

    Args:
        dirpath: Directory of the file; None: `checkpoints` in the run's directory.
        every_n_epochs: So often at the end of an epoch.
        every_n_train_steps: So often in optimizer steps as well, for long epochs.
        train_time_interval: So often in time as well.
    """

    def __init__(
        self,
        dirpath: str | None = None,
        every_n_epochs: int = 1,
        every_n_train_steps: int | None = None,
        train_time_interval: timedelta | None = None,
    ) -> None:
        super().__init__()
        for name, count in (
            ("every_n_epochs", every_n_epochs),
            ("every_n_train_steps", every_n_train_steps),
        ):
            if count is not None and count < 1:
                raise ValueError(f"last.{name} is 1 or more, not {count}")
        self.dirpath = dirpath
        self.every_n_epochs = every_n_epochs
        self.every_n_train_steps = every_n_train_steps
        self.train_time_interval = train_time_interval
        self._due = False
        self._seen_step = self._saved_step = 0
        self._saved_time = 0.0

    def path(self, trainer: Trainer) -> Path:
        """Where it is."""
        return Path(self.dirpath or Path(trainer.default_root_dir) / "checkpoints") / "last.ckpt"

    def save(self, trainer: Trainer) -> None:
        """Save now; on all ranks, between two steps."""
        self._due = False
        self._saved_step, self._saved_time = trainer.global_step, monotonic()
        trial = getattr(trainer, "fast_dev_run", False)
        if trainer.state.fn == TrainerFn.FITTING and not trial:
            trainer.save_checkpoint(self.path(trainer))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """What is loaded is saved already."""
        self._seen_step = self._saved_step = trainer.global_step
        self._saved_time = monotonic()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Save if the step before was one to save."""
        if self._due:
            self.save(trainer)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: STEP_OUTPUT,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """See whether this step is one to save."""
        step, every = trainer.global_step, self.every_n_train_steps
        if step > self._seen_step:
            self._seen_step = step
            self._due = (every is not None and step % every == 0) or self._late(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save if this epoch or its last step is one to save."""
        if self._due or (trainer.current_epoch + 1) % self.every_n_epochs == 0:
            self.save(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The end is saved in any case."""
        if trainer.global_step > self._saved_step:
            self.save(trainer)

    def _late(self, trainer: Trainer) -> bool:
        if self.train_time_interval is None:
            return False
        late = monotonic() - self._saved_time >= self.train_time_interval.total_seconds()
        return bool(trainer.strategy.broadcast(torch.tensor(late)))
