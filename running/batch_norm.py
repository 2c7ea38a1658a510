"""Batch norm that sees a share of the batch only."""

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_warn
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


class WarnOfLocalBatchNorm(Callback):
    """Warns where several processes train a network whose batch norm is neither frozen nor shared.

    Such a network normalises by a rank's share of the batch, so its results depend on the number of
    processes, which is what everything else here avoids.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at every module as it will train."""
        local = [
            name
            for name, module in pl_module.named_modules()
            if isinstance(module, _BatchNorm)
            and module.training
            and not isinstance(module, nn.SyncBatchNorm)
        ]
        if trainer.world_size > 1 and local:
            rank_zero_warn(
                f"{len(local)} batch norm layers ({local[0]}, ...) take their statistics from a "
                f"rank's share of the batch, so {trainer.world_size} processes train another model "
                "than one. Set --trainer.sync_batchnorm true (GPUs), or freeze the statistics "
                "(the encoder's freeze_batch_norm)"
            )
