"""Progress for output that goes to a file: a line an epoch, no bar, no colours."""

from time import monotonic
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ProgressBar
from pytorch_lightning.utilities import rank_zero_only


class PlainProgress(ProgressBar):
    """Prints a line at the end of each epoch, of each validation within one, and of each stage.

    A line has the scores that the bar of a terminal would show.
    """

    def __init__(self) -> None:
        super().__init__()
        self._started = monotonic()

    def disable(self) -> None:
        """Ranks other than the first print nothing anyway."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say what will be done."""
        self._started = monotonic()
        steps = trainer.estimated_stepping_batches
        self._say(f"fit: {steps:,} steps of {trainer.num_training_batches:,} an epoch")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A line an epoch."""
        self._say(f"epoch {trainer.current_epoch}, {self._now(trainer)}")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The end of the stage."""
        self._say(f"fit ended, {self._now(trainer)}")

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Its time is its own."""
        self._begin(trainer)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Its time is its own."""
        self._begin(trainer)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Its time is its own."""
        self._begin(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The end of the stage, or within an epoch."""
        last = trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        if trainer.state.fn == "validate" or not (trainer.sanity_checking or last):
            self._say(f"validate, {self._now(trainer)}")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The end of the stage."""
        self._say(f"test ended, {self._now(trainer)}")

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The end of the stage."""
        self._say(f"predict ended, {self._now(trainer)}")

    def print(self, *args: Any, **kwargs: Any) -> None:
        """What modules print by the bar."""
        self._say(*args)

    def _begin(self, trainer: Trainer) -> None:
        if trainer.state.fn != "fit":
            self._started = monotonic()

    def _now(self, trainer: Trainer) -> str:
        scores = [
            f"{name} {float(value):.4g}"
            for name, value in trainer.progress_bar_metrics.items()
            if name != "v_num"
        ]
        seconds = f"{monotonic() - self._started:,.0f} s"
        return ": ".join(
            [f"step {trainer.global_step:,}, {seconds}", *filter(None, [", ".join(scores)])]
        )

    @rank_zero_only
    def _say(self, *words: Any) -> None:
        print(*words, flush=True)
