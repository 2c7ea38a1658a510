"""When pictures are drawn, and under which names they are kept."""

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from ranklight.callbacks.evaluation.embedding_evaluation import Stage
from ranklight.callbacks.pictures import figures


class Picture(Callback):
    """Draws at the end of a test, of a validation on its own and, if asked to, of epochs.

    A subclass has `name` and `figure`. Tests are drawn as `plots/<name>.png` of the run, a
    validation on its own as `<name>-val.png`, epochs as `<name>-epoch-0003.png`; the trainer's
    loggers that take images get them as `<name>`.

    Args:
        every_n_epochs: In training, draw after every so many validated epochs; None: never.

    Raises:
        ValueError: `every_n_epochs` is under 1.
    """

    name: str

    def __init__(self, every_n_epochs: int | None = None) -> None:
        if every_n_epochs is not None and every_n_epochs < 1:
            raise ValueError(f"every_n_epochs is 1 or more, or null, not {every_n_epochs}")
        self.every_n_epochs = every_n_epochs

    def figure(self, trainer: Trainer, pl_module: LightningModule, stage: Stage) -> Any:
        """A matplotlib figure on rank 0, None on the others and where there is nothing to show.

        Called on every rank.
        """
        raise NotImplementedError

    def due(self, trainer: Trainer) -> bool:
        """Whether the pass of validation or test that is under way will be drawn."""
        if trainer.sanity_checking:
            return False
        if trainer.state.fn != "fit":
            return True
        every = self.every_n_epochs
        return every is not None and (trainer.current_epoch + 1) % every == 0

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the validation images, if it is time to."""
        if self.due(trainer):
            in_training = trainer.state.fn == "fit"
            moment = f"epoch-{trainer.current_epoch:04d}" if in_training else "val"
            self._draw(trainer, pl_module, "val", f"{self.name}-{moment}")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the test images."""
        self._draw(trainer, pl_module, "test", self.name)

    def _draw(self, trainer: Trainer, pl_module: LightningModule, stage: Stage, file: str) -> None:
        figure = self.figure(trainer, pl_module, stage)
        if figure is not None:
            figures.save(figure, self.name, trainer, file)
