"""Lightning's trainer, with one more verb."""

from pathlib import Path
from typing import Any, cast

from pytorch_lightning import LightningDataModule, LightningModule, Trainer

from ranklight.running.label_decisions import decide


class RanklightTrainer(Trainer):
    """Adds `decide`, the stage between ranking and answering, to fit, validate, test, predict."""

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
