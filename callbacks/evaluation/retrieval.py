"""How well the model's neighbours are of the same class, after every validation and test."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_warn

from ranklight.callbacks.evaluation.embedding_evaluation import EmbeddingEvaluation, Stage
from ranklight.callbacks.evaluation.progress import stage_progress
from ranklight.datamodules import Batch
from ranklight.metrics import average_retrieval, evaluate_clustering, score_retrieval
from ranklight.search import ApproximateSearch, Embedded, ExactSearch, index_recall
from ranklight.search.neighbours import Prepare


class RetrievalEvaluation(EmbeddingEvaluation):
    """Every image of the validation and test loaders as a query among the others.

    Logs `val/recall@K` (the hit rate), `val/r_precision`, `val/map@r`, `val/queries` (how many
    count: classes with one image are gallery only) and, from k-means with as many clusters as
    classes, `val/nmi`, `val/ami` and `val/inertia`; `test/...` likewise. With several loaders
    `val/<name>/...`, the name being the loader's key or its number. The same numbers are logged on
    every rank, so a checkpoint may monitor them. Exactness, ties and memory: `search.ExactSearch`.

    The module's validation and test steps return a mapping or named tuple with `embeddings`;
    batches have `labels` (class numbers) and `index`, by which rows are sorted and rows that a
    sampler repeated are dropped. Sanity validation evaluates nothing.

    On several ranks each searches the images that it embedded, and no embedding but that of a
    query in search leaves its rank; the numbers are those of one process, to the bit. K-means runs
    on rank 0, to which all embeddings are sent for it.

    `last` holds what the first loader gave.

    Args:
        ks: Every K of Recall@K.
        clustering: Whether to cluster.
        cluster_every_n_epochs: In training, cluster at every so many epochs only; tests and
            validation on its own always do.
        restarts: Starts of k-means; more is slower and steadier.
        seed: Of the starts.
        index: How to search: `exact`, or by an approximate index, for millions of images. Then
            `val/index_recall@K`, for the largest K, tells how much of the exact lists it finds, on
            1,000 images. Kinds: `search.ApproximateSearch`.
        effort: Of an approximate index; more finds more and takes longer.
        cluster_at_most: Do not cluster more images than these, and warn. Rank 0 needs 8 bytes for
            each dimension of each image: 4 GiB for a million of 512.
        scores: Whether to keep the scores of every query: `scores/<stage>.parquet` of the run, with
            several loaders `scores/<stage>-<name>.parquet`; each pass replaces the file.
    """

    def __init__(
        self,
        ks: Sequence[int] = (1, 2, 4, 8),
        clustering: bool = True,
        cluster_every_n_epochs: int = 1,
        restarts: int = 1,
        seed: int = 0,
        index: Literal["exact", "IVFFlat", "IVFPQ", "HNSW"] = "exact",
        effort: int = 32,
        cluster_at_most: int = 1_000_000,
        scores: bool = True,
    ) -> None:
        super().__init__(scores)
        if cluster_every_n_epochs < 1:
            raise ValueError(f"cluster_every_n_epochs is 1 or more, not {cluster_every_n_epochs}")
        self.ks = tuple(ks)
        self.clustering = clustering
        self.cluster_every_n_epochs = cluster_every_n_epochs
        self.restarts = restarts
        self.seed = seed
        self.index = index
        self.effort = effort
        self.cluster_at_most = cluster_at_most

    def logs(self) -> set[str]:
        """Names of the scores that every validation logs, without the stage before them."""
        names = {*(f"recall@{k}" for k in self.ks), "r_precision", "map@r", "queries"}
        if self.clustering:
            names |= {"nmi", "ami", "inertia"}
        return names if self.index == "exact" else {*names, f"index_recall@{max(self.ks)}"}

    def check(self, batch: Batch, loader: int) -> None:
        """Labels are class numbers.

        Raises:
            ValueError: They are not.
        """
        if batch.labels.ndim != 1 or batch.labels.is_floating_point():
            raise ValueError(
                "RetrievalEvaluation needs one class number an image, "
                f"not labels of shape {tuple(batch.labels.shape)} and type {batch.labels.dtype}"
            )

    def evaluate(self, trainer: Trainer, pl_module: LightningModule, stage: Stage) -> None:
        """Search, cluster and log."""
        loaders = trainer.val_dataloaders if stage == "val" else trainer.test_dataloaders
        due = (trainer.current_epoch + 1) % self.cluster_every_n_epochs == 0
        cluster = self.clustering and (due or trainer.state.fn != "fit")
        shown = {f"recall@{min(self.ks)}", "map@r"}
        for loader, name in enumerate(_loader_names(stage, loaders)):
            embedded = self.collected(loader, pl_module.device)
            if embedded.shards.size == 0:
                continue
            scores = self._search(trainer, name, embedded, loader)
            if cluster:
                scores |= self._cluster(trainer, name, embedded)
            if loader == 0:
                self.last = embedded.to("cpu")
            self.log_scores(pl_module, name, scores, shown)

    def _search(
        self, trainer: Trainer, name: str, embedded: Embedded, loader: int
    ) -> dict[str, float]:
        search: Prepare = ExactSearch
        if self.index != "exact":
            search = partial(ApproximateSearch, kind=self.index, effort=self.effort)
        with stage_progress(trainer, f"{name}: search", len(embedded.ids), embedded) as advance:
            queries = score_retrieval(embedded, ks=self.ks, search=search, advance=advance)
        self.save_scores(trainer, name, embedded, queries.columns(self.ks), loader)
        scores = average_retrieval(embedded, queries, self.ks)
        if self.index != "exact":
            k = max(self.ks)
            scores[f"index_recall@{k}"] = index_recall(embedded, k, search)
        return scores

    def _cluster(self, trainer: Trainer, name: str, embedded: Embedded) -> dict[str, float]:
        if embedded.shards.size > self.cluster_at_most:
            rank_zero_warn(
                f"{name}: {embedded.shards.size:,} images are more than cluster_at_most="
                f"{self.cluster_at_most:,}: they are not clustered, there is no NMI"
            )
            return {}
        with stage_progress(trainer, f"{name}: cluster", self.restarts, embedded) as advance:
            return evaluate_clustering(embedded, self.seed, self.restarts, advance=advance)


def _loader_names(stage: str, loaders: Any) -> list[str]:
    if isinstance(loaders, Mapping):
        return [f"{stage}/{name}" for name in loaders]
    if isinstance(loaders, Sequence) and len(loaders) > 1:
        return [f"{stage}/{number}" for number in range(len(loaders))]
    return [stage]
