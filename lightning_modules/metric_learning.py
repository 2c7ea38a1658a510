"""Metric learning: an encoder whose distances rank images."""

from typing import Any, Literal

import pytorch_lightning as pl
from jaxtyping import Float
from pytorch_lightning import Callback, LightningDataModule
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from ranklight.datamodules import Batch
from ranklight.lightning_modules.checkpoint import check_same_architecture
from ranklight.lightning_modules.chunks import check_chunks, in_chunks
from ranklight.lightning_modules.frozen_epochs import FrozenEpochs
from ranklight.lightning_modules.mined_lists import MinedLists
from ranklight.lightning_modules.optimizers import configure
from ranklight.lightning_modules.rates import Rate, rates_of
from ranklight.lightning_modules.sizes import complete_objective, complete_trunks
from ranklight.models import Pictures
from ranklight.pairs.checks import check_whole_or_wide
from ranklight.pairs.objective import check_objective


class MetricLearning(pl.LightningModule):
    """Trains an encoder by an objective on its embeddings.

    Logs `train/loss` and `train/mined_fraction`, the share of pairs that the miner kept; with a
    memory also `train/memory_mined_fraction`, `train/memory_age` and `train/memory_drift`; of a sum
    of objectives each term by its name, as `train/<name>/loss`.
    Validation and test steps give embeddings; callbacks such as `RetrievalEvaluation` score them.

    Args:
        encoder: Images to embeddings, for example `models.Encoder`.
        objective: `pairs.Objective` (references × relevance × miner × loss), a `WeightedSum` of
            such, a `Matryoshka` on prefixes of the embedding, or a `Regression` of the labels.
        optimizer: Called with the parameters of encoder and objective.
        lr_scheduler: Called with the optimizer.
        lr_interval: How often the schedule steps: once an "epoch" or a training "step".
        rates: Who learns how fast: parts of this module by name, each with a factor of the rate or
            a `Rate`; what is not named learns at the optimizer's rate. For example encoder.trunk:
            0.1 and objective.references: 100.
        decay_norms_and_biases: False: no weight decay of vectors (norms, biases), nor of what a
            network of timm excepts.
        chunk_size: Images of a rank's batch that the network holds at once in training, see
            `in_chunks`; None: all. For batches larger than the memory.
    """

    def __init__(
        self,
        encoder: nn.Module,
        objective: nn.Module,
        optimizer: OptimizerCallable,
        lr_scheduler: LRSchedulerCallable | None = None,
        lr_interval: Literal["epoch", "step"] = "epoch",
        rates: dict[str, float | Rate] | None = None,
        decay_norms_and_biases: bool = True,
        chunk_size: int | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        check_objective(objective, "MetricLearning")
        self.objective: Any = objective
        self.optimizer = optimizer
        self.lr_scheduler = lr_scheduler
        self.lr_interval = lr_interval
        self.rates = rates_of(rates)
        self.decay_norms_and_biases = decay_norms_and_biases
        self.chunk_size = chunk_size

    def setup(self, stage: str) -> None:
        """Give class centers what they were not told: the classes of training."""
        self.complete(self.trainer.datamodule)  # type: ignore[attr-defined]
        if stage == "fit":
            check_chunks(self.encoder, self.chunk_size)

    def complete(self, data: LightningDataModule | None) -> None:
        """Build what depends on the data, once."""
        complete_trunks(self, data)
        complete_objective(self.objective, data, getattr(self.encoder, "embedding_dim", 0))

    def forward(self, images: Pictures) -> Float[Tensor, "n d"]:
        """Embeddings of a batch of images."""
        embeddings: Tensor = self.encoder(images)
        return embeddings

    def embed(self, images: Pictures) -> Float[Tensor, "n d"]:
        """What validation and test give of images."""
        embeddings: Tensor = self(images)
        return embeddings

    def training_step(self, batch: Batch, batch_idx: int) -> Any:
        """The objective on one batch."""
        embeddings = in_chunks(self, batch.images, self.chunk_size)
        ranking = self.objective.evaluate(embeddings, batch.labels, batch.index)
        terms = ranking.by_name()
        for part in self.objective.modules():
            terms |= getattr(part, "diagnostics", {})
        terms = {f"train/{name}": value for name, value in terms.items()}
        size = len(batch.index)
        self.log_dict(terms, batch_size=size, sync_dist=True)
        self.log("train/loss", ranking.loss, prog_bar=True, batch_size=size, sync_dist=True)
        return {"loss": ranking.loss, "embeddings": embeddings.detach()}

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
        """Refuse labels that cannot be taken while they are on the CPU, where looking is free.

        Raises:
            TypeError: A real label is in half precision.
            ValueError: A label is NaN or infinite, or has no class center.
        """
        check_whole_or_wide(batch.labels, "metric learning")
        if self.trainer.training:
            self.objective.check_labels(batch.labels)
        return batch

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimizer over everything that learns, each part at its rate."""
        return configure(
            self,
            self.optimizer,
            self.lr_scheduler,
            self.lr_interval,
            self.rates,
            self.decay_norms_and_biases,
        )

    def configure_callbacks(self) -> list[Callback]:
        """Who lets parts rest, and who looks for hard negatives."""
        return [FrozenEpochs(self.rates), MinedLists()]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse weights of another architecture."""
        check_same_architecture(self, checkpoint["state_dict"])
