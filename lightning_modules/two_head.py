"""Classification with a ranking regularizer on a second head."""

from functools import partial
from typing import Any, Literal, cast

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from jaxtyping import Float
from pytorch_lightning import Callback, LightningDataModule
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torchmetrics.functional.classification import multiclass_accuracy

from ranklight.datamodules import Batch
from ranklight.kernels.masked import at_least_float32
from ranklight.lightning_modules.checkpoint import check_same_architecture
from ranklight.lightning_modules.chunks import check_chunks, in_chunks
from ranklight.lightning_modules.frozen_epochs import FrozenEpochs
from ranklight.lightning_modules.mined_lists import MinedLists
from ranklight.lightning_modules.optimizers import configure
from ranklight.lightning_modules.rates import Rate, rates_of
from ranklight.lightning_modules.scores import log_scores
from ranklight.lightning_modules.sizes import (
    complete_objective,
    complete_trunks,
    num_classes_of,
    picture_shape_of,
)
from ranklight.metrics import EachImageOnce
from ranklight.models import Pictures, TwoHeadOutput, TwoHeads, unit_vectors
from ranklight.pairs.checks import check_classes
from ranklight.pairs.objective import check_objective


class TwoHeadClassification(pl.LightningModule):
    """Trains a classifier and, on a second head of the same trunk, an embedding.

        L = cross-entropy(logits) + λ · objective(embeddings)

    Taha et al., WACV 2020, arXiv 1901.08616; λ = 1 as in the paper, which found 0.2 to 2 to work.
    Logs both terms; validation and test log `accuracy` (of all images) and `accuracy_macro` (mean
    of the classes' accuracies), and hand one of the two embeddings to `RetrievalEvaluation`.

    Args:
        model: Trunk and heads.
        optimizer: Called with the parameters of model and objective.
        objective: What the embedding head is trained for, a `pairs.Objective`, `WeightedSum` or
            `Matryoshka`; None is softmax alone, the baseline.
        weight: λ.
        retrieve_by: Which embedding is evaluated: the "embedding" head's, or the "pooled" features
            that the classifier sees (L2-normalised).
        lr_scheduler: Called with the optimizer.
        lr_interval: How often the schedule steps: once an "epoch" or a training "step".
        rates: Who learns how fast: parts of this module by name, each with a factor of the rate or
            a `Rate`; what is not named learns at the optimizer's rate. For example encoder.trunk:
            0.1 and model.class_head: 10.
        decay_norms_and_biases: False: no weight decay of vectors (norms, biases), nor of what a
            network of timm excepts.
        chunk_size: Images of a rank's batch that the network holds at once in training, see
            `in_chunks`; None: all. For batches larger than the memory.
    """

    def __init__(
        self,
        model: TwoHeads,
        optimizer: OptimizerCallable,
        objective: nn.Module | None = None,
        weight: float = 1.0,
        retrieve_by: Literal["embedding", "pooled"] = "embedding",
        lr_scheduler: LRSchedulerCallable | None = None,
        lr_interval: Literal["epoch", "step"] = "epoch",
        rates: dict[str, float | Rate] | None = None,
        decay_norms_and_biases: bool = True,
        chunk_size: int | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        if objective is not None:
            check_objective(objective, "TwoHeadClassification")
        self.objective: Any = objective
        self.weight = weight
        self.retrieve_by = retrieve_by
        self.optimizer = optimizer
        self.lr_scheduler = lr_scheduler
        self.lr_interval = lr_interval
        self.rates = rates_of(rates)
        self.decay_norms_and_biases = decay_norms_and_biases
        self.chunk_size = chunk_size
        if None not in (model.num_classes, model.image_shape):
            self._score_classes()

    def setup(self, stage: str) -> None:
        """Take from the data what was not given: classes and the size of images."""
        self.complete(self.trainer.datamodule)  # type: ignore[attr-defined]
        if stage == "fit":
            check_chunks(self.model, self.chunk_size)

    def complete(self, data: LightningDataModule | None) -> None:
        """Build what depends on the data, once."""
        complete_trunks(self, data)
        if None in (self.model.num_classes, self.model.image_shape):
            self.model.complete(
                self.model.num_classes or num_classes_of(data),
                self.model.image_shape or picture_shape_of(data),
            )
            self._score_classes()
        complete_objective(self.objective, data, self.model.embedding_dim)

    def _score_classes(self) -> None:
        if self.objective is None:
            self.model.embedding_head.requires_grad_(False)
        classes = cast(int, self.model.num_classes)
        none = torch.zeros(0, dtype=torch.int64)
        score = partial(_accuracies, classes=classes)
        self.val_accuracy = EachImageOnce(score, predicted=none, labels=none)
        self.test_accuracy = EachImageOnce(score, predicted=none, labels=none)

    def forward(self, images: Pictures) -> Float[Tensor, "n classes"]:
        """Logits of a batch of images."""
        logits: Tensor = self.model(images).logits
        return logits

    def embed(self, images: Pictures) -> Float[Tensor, "n d"]:
        """What validation and test retrieve images by."""
        return self._retrieved(self.model(images))

    def training_step(self, batch: Batch, batch_idx: int) -> Any:
        """Both terms on one batch."""
        output = in_chunks(self.model, batch.images, self.chunk_size)
        loss = F.cross_entropy(at_least_float32(output.logits), batch.labels)
        terms = {"train/cross_entropy": loss}
        if self.objective is not None:
            ranking = self.objective.evaluate(output.embeddings, batch.labels, batch.index)
            terms["train/ranking"] = ranking.loss
            terms |= {f"train/{name}": value for name, value in ranking.by_name().items()}
            loss = loss + self.weight * ranking.loss
        size = len(batch.index)
        self.log_dict(terms, batch_size=size, sync_dist=True)
        self.log("train/loss", loss, prog_bar=True, batch_size=size, sync_dist=True)
        return {"loss": loss, "embeddings": output.embeddings.detach()}

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Any:
        """Accuracy; for the callbacks an embedding to score, and the predicted class."""
        return self._evaluate(batch, self.val_accuracy)

    def logs(self) -> set[str]:
        """Names of the scores that every validation logs, without the stage before them."""
        return {"accuracy", "accuracy_macro"}

    def on_validation_epoch_end(self) -> None:
        """Log the accuracy of the validation part."""
        log_scores(self, "val", self.val_accuracy)

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Any:
        """Accuracy; for the callbacks an embedding to score, and the predicted class."""
        return self._evaluate(batch, self.test_accuracy)

    def on_test_epoch_end(self) -> None:
        """Log the accuracy of the test part."""
        log_scores(self, "test", self.test_accuracy)

    def _evaluate(self, batch: Batch, accuracy: EachImageOnce) -> dict[str, Tensor]:
        output = self.model(batch.images)
        predicted = output.logits.argmax(1)
        accuracy.update(batch.index, predicted=predicted, labels=batch.labels)
        return {"embeddings": self._retrieved(output), "predicted": predicted}

    def _retrieved(self, output: TwoHeadOutput) -> Float[Tensor, "n d"]:
        return unit_vectors(output.pooled) if self.retrieve_by == "pooled" else output.embeddings

    def predict_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Any:
        """Class probabilities and the embedding."""
        output = self.model(batch.images)
        return {
            "probabilities": at_least_float32(output.logits).softmax(1),
            "embeddings": output.embeddings,
            "labels": batch.labels,
            "index": batch.index,
        }

    def on_before_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Refuse labels that are no class while they are on the CPU, where looking is free.

        Raises:
            TypeError: Labels are not integers.
            ValueError: There is not one class an image, or it is not one of the classifier's.
        """
        if not self.trainer.predicting:
            check_classes(batch.labels, cast(int, self.model.num_classes), "the classifier")
            if self.objective is not None and self.trainer.training:
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


def _accuracies(predicted: Tensor, labels: Tensor, classes: int) -> dict[str, Tensor]:
    def accuracy(average: Literal["micro", "macro"]) -> Tensor:
        share: Tensor = multiclass_accuracy(predicted, labels, classes, average)
        return share

    return {"accuracy": accuracy("micro"), "accuracy_macro": accuracy("macro")}
