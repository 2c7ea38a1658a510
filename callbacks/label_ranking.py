"""How near the labels of what the model finds are, after every validation and test."""

from collections.abc import Sequence
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from torch import nn

from callbacks.query_gallery import QueryGallery
from callbacks.stages import name_embedding, stage
from metrics import evaluate_label_distances


class LabelRanking(Callback):
    """Searches the gallery for each query, and compares with the order of the labels.

    Validation and test have two loaders, **[queries, gallery]**. Logs `val/label_distance@K` (mean
    label distance of the K nearest), `val/ndcg@K` (gain 1 / (1 + label distance)) and
    `val/spearman` (correlation of the two orders of the gallery); beside each `.../oracle`, what
    the order of the labels scores, and `.../chance`, what a random order does; `test/...` likewise.
    The same numbers are logged on every rank, so a checkpoint may monitor them. Sanity validation
    evaluates nothing. Definitions: `metrics.label_distance`.

    On several ranks each searches its share of the gallery; the numbers are those of one process.

    Args:
        ks: Every K.
        relevance: From two sets of labels to R = 1 − label distance; `pairs.LabelCloseness()` by
            default. Usually what the objective has.
        spearman: Whether to correlate, which sorts the whole gallery for each query.
    """

    def __init__(
        self,
        ks: Sequence[int] = (1, 10, 100),
        relevance: nn.Module | None = None,
        spearman: bool = True,
    ) -> None:
        self.ks = tuple(ks)
        self.relevance = relevance
        self.spearman = spearman
        self._rows = QueryGallery()

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget what an interrupted epoch collected."""
        self._rows.clear()

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget what an interrupted epoch collected."""
        self._rows.clear()

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
            name_embedding(trainer, "val_progress_bar_id")
            self._rows.add(outputs, batch, dataloader_idx)

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
        name_embedding(trainer, "test_progress_bar_id")
        self._rows.add(outputs, batch, dataloader_idx)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Search, compare and log."""
        if not trainer.sanity_checking:
            self._evaluate(trainer, pl_module, "val")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Search, compare and log."""
        self._evaluate(trainer, pl_module, "test")

    def _evaluate(self, trainer: Trainer, pl_module: LightningModule, name: str) -> None:
        queries, gallery = self._rows.rows(pl_module.device)
        bar = stage(trainer, f"{name}: search", len(queries.index), gallery.shards.size)
        with bar as advance:
            scores = evaluate_label_distances(
                *(queries.embeddings, queries.labels, gallery.embeddings, gallery.labels),
                ks=self.ks,
                relevance=self.relevance,
                spearman=self.spearman,
                advance=advance,
                shards=queries.shards,
                gallery_shards=gallery.shards,
            )
        shown = (f"label_distance@{min(self.ks, key=lambda k: abs(k - 10))}", "spearman")
        for score, value in scores.items():
            pl_module.log(
                f"{name}/{score}", value, prog_bar=score in shown, sync_dist=True, reduce_fx="max"
            )
