"""Lightning's trainer, with two more verbs."""

from pathlib import Path
from typing import Any, cast

from pytorch_lightning import LightningDataModule, LightningModule, Trainer

from ranklight.commands.doctor import examine
from ranklight.running.label_decisions import decide


class RanklightTrainer(Trainer):
    """Adds to fit, validate, test and predict what comes before them, and what comes after.

    `doctor` is the look at data and configuration before anything is trained, `decide` the stage
    between ranking and answering.
    """

    def doctor(
        self,
        model: LightningModule,
        datamodule: LightningDataModule | None = None,
        json: bool | str = False,
    ) -> None:
        """Read every image and look at all that can be known before training.

        Args:
            model: What would be trained.
            datamodule: What it would be trained on.
            json: true: print JSON in place of the page; a file's name: write it beside the page.
        """
        if datamodule is None:
            raise ValueError("doctor needs a data module: the configuration has no data")
        examine(self, model, datamodule, json)

    def decide(
        self, model: LightningModule, datamodule: LightningDataModule, ckpt_path: str | None = None
    ) -> None:
        """Fit the label decision of a trained ranking, and store it in its checkpoint."""
        if ckpt_path is None or not hasattr(model, "decisions"):
            raise ValueError(
                "decide needs a MultiLabelClassification and the checkpoint of its ranking, got "
                f"{type(model).__name__} and {ckpt_path}"
            )
        datamodule.setup("fit")
        cast(Any, model).complete(datamodule)
        decide(model.to(self.strategy.root_device), datamodule, Path(ckpt_path))
