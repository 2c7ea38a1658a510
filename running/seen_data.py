"""What a checkpoint says of the data that it was trained on, for those who have it alone."""

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities.types import STEP_OUTPUT

from ranklight.datamodules import Batch
from ranklight.models import Inputs

SEEN_DATA = "seen_data"
"""In a checkpoint: what `SeenData` keeps."""


class SeenData(Callback):
    """Keeps in every checkpoint what a model at work needs to know of its data, and nobody else.

    `class_names` (none where the data has no names), `num_classes` of the module's classifier (None
    without one), `picture_shape` (channels, height, width of what training saw), `normalisation`:
    of each `models.Inputs`, by its name in the module, mean and deviation. These belong to the
    weights that training began with, which nobody wants to fetch in order to load others.
    """

    def __init__(self) -> None:
        self._picture_shape: list[int] | None = None

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: STEP_OUTPUT,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """See how large pictures are."""
        self._picture_shape = list(batch.images.shape[1:])

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Save it."""
        data: Any = getattr(trainer, "datamodule", None)
        module: Any = pl_module
        checkpoint[SEEN_DATA] = {
            "class_names": [str(name) for name in getattr(data, "class_names", None) or ()],
            "num_classes": getattr(getattr(module, "model", module), "num_classes", None),
            "picture_shape": self._picture_shape,
            "normalisation": {
                name: [part.mean.flatten().tolist(), part.std.flatten().tolist()]
                for name, part in pl_module.named_modules()
                if isinstance(part, Inputs)
            },
        }
