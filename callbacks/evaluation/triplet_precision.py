"""How many given triplets the model orders rightly, after every validation and test."""

from typing import Any

import torch
from jaxtyping import Int
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from ranklight.callbacks.evaluation.embedding_evaluation import EmbeddingEvaluation, Stage
from ranklight.callbacks.evaluation.scores_file import write_scores
from ranklight.kernels.checks import check_counts
from ranklight.metrics import TripletScores, average_triplets, read_triplets, score_triplets
from ranklight.search import Embedded


class TripletPrecision(EmbeddingEvaluation):
    """Scores triplets (query, positive, negative): is the positive nearer than the negative?

    Validation and test have two loaders, **[queries, gallery]**, or one for both. Logs
    `val/similarity_precision`, `val/score@K` and `val/triplets`, how many there are; `test/...`
    likewise, the same on every rank. Sanity validation evaluates nothing. Definitions:
    `metrics.triplets`.

    Args:
        val_file: Triplets of validation, CSV under the header `query,positive,negative`, images
            given as `index` in the batches; by default those of the data module's
            `triplets("val")`.
        test_file: The same of test; by default `triplets("test")`.
        k: Of score-at-top-K.
        scores: Whether to keep the scores of every triplet, with the ids of its three images, as
            `scores/<stage>-triplets.parquet` of the run; each pass replaces the file.
    """

    def __init__(
        self,
        val_file: str | None = None,
        test_file: str | None = None,
        k: int = 30,
        scores: bool = True,
    ) -> None:
        super().__init__(scores)
        self.files = {"val": val_file, "test": test_file}
        check_counts(k=k)
        self.k = k

    def logs(self) -> set[str]:
        """Names of the scores that every validation logs, without the stage before them."""
        return {"similarity_precision", f"score@{self.k}", "triplets"}

    def evaluate(self, trainer: Trainer, pl_module: LightningModule, stage: Stage) -> None:
        """Score the triplets and log."""
        for sides in self.sides(trainer, stage, pl_module.device):
            queries = sides.queries
            # another object of the same rows, in which each query is left out by its id
            gallery = sides.gallery or queries.to(pl_module.device)
            triplets = self._triplets(trainer, stage, queries, gallery)
            scores = score_triplets(queries, gallery, triplets, self.k)
            if self.keep_scores:
                self._save(trainer, sides.name, (queries, gallery), triplets, scores)
            means = average_triplets(scores, self.k)
            self.log_scores(pl_module, sides.name, means, {"similarity_precision"})

    def _save(
        self,
        trainer: Trainer,
        name: str,
        sides: tuple[Embedded, Embedded],
        triplets: Int[Tensor, "t 3"],
        scores: TripletScores,
    ) -> None:
        query, gallery = (rows.shards.all_gather(rows.ids) for rows in sides)
        ids = (query[triplets[:, 0]], gallery[triplets[:, 1]], gallery[triplets[:, 2]])
        columns = dict(zip(("query", "positive", "negative"), ids, strict=True))
        columns |= {
            "similarity_precision": scores.in_order.double(),
            f"score@{self.k}": scores.shown,
        }
        if trainer.is_global_zero:
            rows = {name: values.cpu() for name, values in columns.items()}
            write_scores(trainer, f"{name}-triplets", rows)

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
