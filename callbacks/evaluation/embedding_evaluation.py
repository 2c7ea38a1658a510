"""What the callbacks that score embeddings share: when to collect, and when to score."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from ranklight.callbacks.evaluation.embedding_collector import EmbeddingCollector
from ranklight.callbacks.evaluation.progress import describe_embedding
from ranklight.callbacks.evaluation.scores_file import (
    Columns,
    dataset_of,
    loaders_of,
    save_query_scores,
    values_of,
)
from ranklight.datamodules import Batch
from ranklight.search import Embedded

Stage = Literal["val", "test"]

_Kind = TypeVar("_Kind", bound=Callback)


class Sides(NamedTuple):
    """What is compared with what.

    Args:
        name: The stage; with several data sets `<stage>/<name>`.
        queries: What to look for.
        gallery: Where; None: among the queries.
        datasets: What these are of: one data set, or that of the queries and that of the gallery.
    """

    name: str
    queries: Embedded
    gallery: Embedded | None
    datasets: tuple[Any, ...]

    @property
    def among(self) -> Embedded:
        """What is searched."""
        return self.queries if self.gallery is None else self.gallery


class EmbeddingEvaluation(Callback):
    """Collects what every pass of validation and test embeds, and scores it in the end.

    A stage has one loader, of images that are compared with each other, or a list of two,
    **[queries, gallery]**; or a mapping of loaders, each of which is compared in itself.

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

    def check(self, batch: Batch, trainer: Trainer) -> None:
        """Refuse what cannot be scored, at the first batch."""

    def evaluate(self, trainer: Trainer, pl_module: LightningModule, stage: Stage) -> None:
        """Score what `collected` gives, and log it; called on every rank."""
        raise NotImplementedError

    def sides(self, trainer: Trainer, stage: Stage, device: torch.device) -> Iterator[Sides]:
        """What the loaders gave, which is then forgotten; collective. Sets `last`.

        Raises:
            ValueError: There are queries and no gallery, or the other way round.
        """
        found = collected_sides(trainer, stage, self._loaders, device)
        self._loaders = {}
        for number, sides in enumerate(found):
            if number == 0:
                self.last = sides.queries.to("cpu")
                self.last_gallery = sides.gallery and sides.gallery.to("cpu")
            yield sides

    def save_scores(self, trainer: Trainer, sides: Sides, columns: Columns) -> None:
        """Keep the scores of every query, if asked to; collective."""
        if self.keep_scores:
            queries = sides.queries
            known = {"id": queries.ids}
            if queries.labels.ndim == 1 and not queries.labels.is_floating_point():
                known["class"] = queries.labels
            if queries.groups is not None:
                known["group"] = queries.groups
            rows, dataset = {**known, **columns}, sides.datasets[0]
            save_query_scores(trainer, sides.name, queries.shards, rows, dataset)

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
            self._add(trainer, outputs, batch, dataloader_idx)

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
        self._add(trainer, outputs, batch, dataloader_idx)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Score the pass and log."""
        if not trainer.sanity_checking:
            self.evaluate(trainer, pl_module, "val")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Score the pass and log."""
        self.evaluate(trainer, pl_module, "test")

    def _add(self, trainer: Trainer, outputs: Any, batch: Batch, loader: int) -> None:
        stage = "test" if trainer.testing else "val"
        _check_loaders(loaders_of(trainer, stage))
        self.check(batch, trainer)
        self._loaders.setdefault(loader, EmbeddingCollector()).add(outputs, batch)


def collected_sides(
    trainer: Trainer,
    stage: Stage,
    collectors: Mapping[int, EmbeddingCollector],
    device: torch.device,
) -> Iterator[Sides]:
    """What each of a stage's loaders gave, as queries and gallery; collective."""
    loaders = loaders_of(trainer, stage)
    _check_loaders(loaders)
    named = list(loaders) if isinstance(loaders, Mapping) else [""]
    pair = isinstance(loaders, Sequence) and len(loaders) == 2
    for number, name in enumerate(named):
        numbers = (0, 1) if pair else (number,)
        datasets = tuple(dataset_of(loaders, loader) for loader in numbers)
        rows = [
            _rows_of(collectors.get(loader, EmbeddingCollector()), dataset, device)
            for loader, dataset in zip(numbers, datasets, strict=True)
        ]
        queries, gallery = rows[0], rows[1] if pair else None
        if gallery is not None and 0 in (queries.shards.size, gallery.shards.size):
            raise ValueError(
                "queries and a gallery are needed, two loaders that are not empty: got "
                f"{queries.shards.size} queries and {gallery.shards.size} images in the gallery"
            )
        if queries.shards.size:
            yield Sides(f"{stage}/{name}".rstrip("/"), queries, gallery, datasets)


def _rows_of(collector: EmbeddingCollector, dataset: Any, device: torch.device) -> Embedded:
    """This rank's share of what a loader gave, with the groups that its data set has."""
    rows = collector.rows(device)
    groups = values_of(dataset, getattr(dataset, "groups", None), rows.ids)
    return Embedded(rows.embeddings, rows.labels, rows.ids, rows.shards, groups)


def _check_loaders(loaders: Any) -> None:
    """Raise a ValueError that says which loaders there may be."""
    if isinstance(loaders, Sequence) and len(loaders) > 2:
        raise ValueError(
            f"a list of loaders is [queries, gallery], this one has {len(loaders)}: return several "
            "data sets as a mapping from their names to loaders"
        )


def evaluation_of(trainer: Trainer) -> EmbeddingEvaluation | None:
    """The first evaluation of embeddings among a trainer's callbacks."""
    return first_callback(trainer, EmbeddingEvaluation)


def first_callback(trainer: Trainer, kind: type[_Kind]) -> _Kind | None:
    """The first of a kind among a trainer's callbacks."""
    callbacks: list[Callback] = getattr(trainer, "callbacks", [])
    return next((callback for callback in callbacks if isinstance(callback, kind)), None)
