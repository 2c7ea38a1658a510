"""What the callbacks that score embeddings share: when to collect, and when to score."""

from typing import Any, Literal

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from ranklight.callbacks.evaluation.embedding_collector import EmbeddingCollector
from ranklight.callbacks.evaluation.progress import describe_embedding
from ranklight.callbacks.evaluation.scores_file import (
    Columns,
    dataset_of,
    loaders_of,
    save_query_scores,
)
from ranklight.datamodules import Batch
from ranklight.search import Embedded

Stage = Literal["val", "test"]


class EmbeddingEvaluation(Callback):
    """Collects what every pass of validation and test embeds, and scores it in the end.

    A subclass has `evaluate`, and may have `check`. Sanity validation collects and scores nothing.

    `last` holds what was evaluated last, and `last_gallery` what it was searched in, None where the
    images were searched among themselves: on the CPU, on each rank its share.

    Args:
        scores: Whether to keep the scores of every query, as `scores/<stage>.parquet` of the run.
    """

    def __init__(self, scores: bool = True) -> None:
        self.keep_scores = scores
        self.last: Embedded | None = None
        self.last_gallery: Embedded | None = None
        self._loaders: dict[int, EmbeddingCollector] = {}

    def logs(self) -> set[str]:
        """Names of the scores that every validation logs, without the stage before them."""
        return set()

    def check(self, batch: Batch, loader: int) -> None:
        """Refuse what cannot be scored, at the first batch."""

    def evaluate(self, trainer: Trainer, pl_module: LightningModule, stage: Stage) -> None:
        """Score what `collected` gives, and log it; called on every rank."""
        raise NotImplementedError

    def collected(self, loader: int, device: torch.device) -> Embedded:
        """This rank's share of what a loader gave; collective, and then forgotten."""
        return self._loaders.pop(loader, EmbeddingCollector()).rows(device)

    def save_scores(
        self, trainer: Trainer, name: str, queries: Embedded, columns: Columns, loader: int = 0
    ) -> None:
        """Keep the scores of every query of a loader, if asked to; collective."""
        if self.keep_scores:
            dataset = dataset_of(loaders_of(trainer, name), loader)
            known = {"id": queries.ids}
            if queries.labels.ndim == 1 and not queries.labels.is_floating_point():
                known["class"] = queries.labels
            save_query_scores(trainer, name, queries.shards, {**known, **columns}, dataset)

    def log_scores(
        self, pl_module: LightningModule, name: str, scores: dict[str, float], shown: set[str]
    ) -> None:
        """Log scores that are the same on every rank, some of them in the progress bar too."""
        for key, value in scores.items():
            bar = key in shown
            pl_module.log(f"{name}/{key}", value, prog_bar=bar, sync_dist=True, reduce_fx="max")

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget what an interrupted epoch collected."""
        self._loaders = {}

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget what an interrupted epoch collected."""
        self._loaders = {}

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the embeddings of a batch."""
        if not trainer.sanity_checking:
            describe_embedding(trainer, "val_progress_bar_id")
            self._add(outputs, batch, dataloader_idx)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the embeddings of a batch."""
        describe_embedding(trainer, "test_progress_bar_id")
        self._add(outputs, batch, dataloader_idx)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Score the pass and log."""
        if not trainer.sanity_checking:
            self.evaluate(trainer, pl_module, "val")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Score the pass and log."""
        self.evaluate(trainer, pl_module, "test")

    def _add(self, outputs: Any, batch: Batch, loader: int) -> None:
        self.check(batch, loader)
        self._loaders.setdefault(loader, EmbeddingCollector()).add(outputs, batch)


def evaluation_of(trainer: Trainer) -> EmbeddingEvaluation | None:
    """The first evaluation of embeddings among a trainer's callbacks."""
    callbacks: list[Callback] = getattr(trainer, "callbacks", [])
    found = (callback for callback in callbacks if isinstance(callback, EmbeddingEvaluation))
    return next(found, None)
