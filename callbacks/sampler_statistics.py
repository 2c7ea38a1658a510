"""What the batch sampler says about itself."""

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer


class SamplerStatistics(Callback):
    """Logs at the end of each training epoch what the train sampler counted.

    For samplers that have `statistics()`, such as `RelevanceTriplets`: `train/sampler/acceptance`,
    `train/sampler/given_up` and `train/sampler/buffer_age`. It is the data module's
    `train_sampler` that is asked; one without statistics logs nothing.
    """

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log."""
        data: Any = getattr(trainer, "datamodule", None)
        sampler: Any = getattr(data, "train_sampler", None)
        if hasattr(sampler, "statistics"):
            for name, value in sampler.statistics().items():
                pl_module.log(f"train/sampler/{name}", value, sync_dist=False)
