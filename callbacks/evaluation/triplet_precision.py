"""How many given triplets the model orders rightly, after every validation and test."""

from typing import Any

import torch
from jaxtyping import Int
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from ranklight.callbacks.evaluation.embedding_evaluation import EmbeddingEvaluation, Stage
from ranklight.callbacks.evaluation.query_gallery import check_loader, queries_and_gallery
from ranklight.datamodules import Batch
from ranklight.metrics import evaluate_triplets, read_triplets
from ranklight.search import Embedded


class TripletPrecision(EmbeddingEvaluation):
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
        super().__init__()
        self.files = {"val": val_file, "test": test_file}
        self.k = k

    def logs(self) -> set[str]:
        """Names of the scores that every validation logs, without the stage before them."""
        return {"similarity_precision", f"score@{self.k}", "triplets"}

    def check(self, batch: Batch, loader: int) -> None:
        """There are two loaders."""
        check_loader(loader)

    def evaluate(self, trainer: Trainer, pl_module: LightningModule, stage: Stage) -> None:
        """Score the triplets and log."""
        queries, gallery = queries_and_gallery(self, pl_module.device)
        triplets = self._triplets(trainer, stage, queries, gallery)
        scores = evaluate_triplets(queries, gallery, triplets, self.k)
        self.log_scores(pl_module, stage, scores, {"similarity_precision"})

    def _triplets(
        self, trainer: Trainer, stage: str, queries: Embedded, gallery: Embedded
    ) -> Int[Tensor, "t 3"]:
        """As positions in queries and gallery."""
        device = queries.embeddings.device
        file = self.files[stage]
        if file is not None:
            ids = (rows.shards.all_gather(rows.ids).tolist() for rows in (queries, gallery))
            return read_triplets(file, *([str(number) for number in of] for of in ids)).to(device)
        data: Any = getattr(trainer, "datamodule", None)
        if not hasattr(data, "triplets"):
            raise ValueError(
                f"TripletPrecision needs {stage}_file, or data with triplets of its own, not "
                f"{type(data).__name__}"
            )
        images = data.triplets(stage).to(device).unbind(1)
        sides = zip((queries, gallery, gallery), images, strict=True)
        return torch.stack([rows.positions_of(ids) for rows, ids in sides], 1)
