"""Metric learning: an encoder whose distances rank images."""

from typing import Any, Literal

import pytorch_lightning as pl
from jaxtyping import Float
from pytorch_lightning import LightningDataModule
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from ranklight.datamodules import Batch
from ranklight.lightning_modules.checkpoint import check_same_architecture
from ranklight.lightning_modules.optimizers import configure
from ranklight.lightning_modules.sizes import complete_centers
from ranklight.models import Pictures
from ranklight.pairs import Objective
from ranklight.pairs.checks import check_finite_labels


class MetricLearning(pl.LightningModule):
    """Trains an encoder by an objective on its embeddings.

    Logs `train/loss` and `train/mined_fraction`, the share of pairs that the miner kept; with a
    memory also `train/memory_mined_fraction`, `train/memory_age` and `train/memory_drift`.
    Validation and test steps give embeddings; callbacks such as `RetrievalEvaluation` score them.

    Args:
        encoder: Images to embeddings, for example `models.Encoder`.
        objective: References × relevance × miner × loss.
        optimizer: Called with the parameters of encoder and objective.
        lr_scheduler: Called with the optimizer.
        lr_interval: How often the schedule steps: once an "epoch" or a training "step".
    """

    def __init__(
        self,
        encoder: nn.Module,
        objective: Objective,
        optimizer: OptimizerCallable,
        lr_scheduler: LRSchedulerCallable | None = None,
        lr_interval: Literal["epoch", "step"] = "epoch",
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.objective = objective
        self.optimizer = optimizer
        self.lr_scheduler = lr_scheduler
        self.lr_interval = lr_interval

    def setup(self, stage: str) -> None:
        """Give class centers what they were not told: the classes of training."""
        self.complete(self.trainer.datamodule)  # type: ignore[attr-defined]

    def complete(self, data: LightningDataModule | None) -> None:
        """Build what depends on the data, once."""
        complete_centers(self.objective, data, getattr(self.encoder, "embedding_dim", 0))

    def forward(self, images: Pictures) -> Float[Tensor, "n d"]:
        """Embeddings of a batch of images."""
        embeddings: Tensor = self.encoder(images)
        return embeddings

    def training_step(self, batch: Batch, batch_idx: int) -> Any:
        """The objective on one batch."""
        embeddings = self(batch.images)
        loss, kept, memory_mined_fraction = self.objective.evaluate(
            embeddings, batch.labels, batch.index
        )
        size = len(batch.index)
        self.log("train/loss", loss, prog_bar=True, batch_size=size, sync_dist=True)
        self.log("train/mined_fraction", kept, batch_size=size, sync_dist=True)
        if memory_mined_fraction is not None:
            self.log(
                "train/memory_mined_fraction",
                memory_mined_fraction,
                batch_size=size,
                sync_dist=True,
            )
        for name, value in getattr(self.objective.references, "diagnostics", {}).items():
            self.log(f"train/{name}", value, batch_size=size, sync_dist=True)
        return {"loss": loss, "embeddings": embeddings.detach()}

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Any:
        """Embeddings, for the callbacks to score."""
        return {"embeddings": self(batch.images)}

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Any:
        """Embeddings, for the callbacks to score."""
        return {"embeddings": self(batch.images)}

    def predict_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Any:
        """Embeddings, with what they are of."""
        return {"embeddings": self(batch.images), "labels": batch.labels, "index": batch.index}

    def on_before_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Refuse labels that training cannot take while they are on the CPU, where looking is free.

        Raises:
            ValueError: A label is NaN or infinite, or has no class center.
        """
        check_finite_labels(batch.labels)
        if self.trainer.training:
            self.objective.check_labels(batch.labels)
        return batch

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimizer over everything that learns."""
        return configure(self.optimizer, self.lr_scheduler, self.parameters(), self.lr_interval)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse weights of another architecture."""
        check_same_architecture(self, checkpoint["state_dict"])
