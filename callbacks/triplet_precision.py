"""How many given triplets the model orders rightly, after every validation and test."""

from typing import Any

import torch
from jaxtyping import Int
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from callbacks.embedded import Embedded
from callbacks.query_gallery import QueryGallery
from metrics import evaluate_triplets, read_triplets


class TripletPrecision(Callback):
    """Scores triplets (query, positive, negative): is the positive nearer than the negative?

    Validation and test have two loaders, **[queries, gallery]**. Logs `val/similarity_precision`,
    `val/score@K` and `val/triplets`, how many there are; `test/...` likewise, the same on every
    rank. Sanity validation evaluates nothing. Definitions: `metrics.triplets`.

    Args:
        val_file: Triplets of validation, CSV under the header `query,positive,negative`, images
            given as `index` in the batches; by default those of the data module's
            `triplets("val")`.
        test_file: The same of test; by default `triplets("test")`.
        k: Of score-at-top-K.
    """

    def __init__(
        self, val_file: str | None = None, test_file: str | None = None, k: int = 30
    ) -> None:
        self.files = {"val": val_file, "test": test_file}
        self.k = k
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
        self._rows.add(outputs, batch, dataloader_idx)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Score the triplets and log."""
        if not trainer.sanity_checking:
            self._evaluate(trainer, pl_module, "val")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Score the triplets and log."""
        self._evaluate(trainer, pl_module, "test")

    def _evaluate(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        queries, gallery = self._rows.rows(pl_module.device)
        scores = evaluate_triplets(
            queries.embeddings,
            gallery.embeddings,
            self._triplets(trainer, stage, queries, gallery),
            self.k,
            shards=queries.shards,
            gallery_shards=gallery.shards,
        )
        for name, value in scores.items():
            shown = name == "similarity_precision"
            pl_module.log(
                f"{stage}/{name}", float(value), prog_bar=shown, sync_dist=True, reduce_fx="max"
            )

    def _triplets(
        self, trainer: Trainer, stage: str, queries: Embedded, gallery: Embedded
    ) -> Int[Tensor, "t 3"]:
        """As places in queries and gallery."""
        device = queries.embeddings.device
        images, among = (rows.shards.whole(rows.index) for rows in (queries, gallery))
        file = self.files[stage]
        if file is not None:
            names = ([str(number) for number in index.tolist()] for index in (images, among))
            return read_triplets(file, *names).to(device)
        data: Any = getattr(trainer, "datamodule", None)
        if not hasattr(data, "triplets"):
            raise ValueError(
                f"TripletPrecision needs {stage}_file, or data with triplets of its own, not "
                f"{type(data).__name__}"
            )
        triplets = data.triplets(stage).to(device)
        columns = [
            torch.searchsorted(index, triplets[:, column].contiguous())
            for column, index in enumerate((images, among, among))
        ]
        return torch.stack(columns, 1)
