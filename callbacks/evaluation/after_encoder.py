"""What becomes of a retrieval by steps after the encoder, and by other views of the pictures."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from pytorch_lightning import LightningModule, Trainer
from rich.table import Table
from torch import Tensor

from ranklight.callbacks.evaluation.embedding_collector import EmbeddingCollector
from ranklight.callbacks.evaluation.embedding_evaluation import Sides, Stage, collected_sides
from ranklight.callbacks.evaluation.progress import rows_progress
from ranklight.callbacks.evaluation.views import View, averaged
from ranklight.datamodules import Batch
from ranklight.plain_console import plain_console
from ranklight.search import Embedded
from ranklight.search.after import Retrieval, Step
from ranklight.search.neighbours import AnySearch

_COLUMNS = 4

Scores = dict[str, float]
ScoreSides = Callable[[Sides, AnySearch], Scores]


class Variant(NamedTuple):
    """One line of the table.

    Args:
        name: What was done.
        scores: What came of it.
        seconds: What it took, its own search included.
    """

    name: str
    scores: Scores
    seconds: float


class AfterEncoder:
    """Each step alone, and each way of viewing pictures alone, beside the plain search.

    Args:
        after: Steps after the encoder.
        views: Ways of viewing pictures.

    Raises:
        ValueError: Two have one name.
    """

    def __init__(self, after: Sequence[Step], views: Sequence[View]) -> None:
        self.after = tuple(after)
        self.views = tuple(views)
        names = [each.name for each in (*self.after, *self.views)]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(
                f"two steps after the encoder are called {twice[0]!r}: give each a name of its own"
            )
        self.forget()

    def forget(self) -> None:
        """Drop what an interrupted pass collected."""
        self._collected: list[dict[int, EmbeddingCollector]] = [{} for _ in self.views]
        self._seconds = [0.0 for _ in self.views]

    def check(self, trainer: Trainer, module: LightningModule) -> None:
        """Refuse what cannot be done, before a pass over the images.

        Raises:
            ValueError: A step has to be fitted and there are no training images, or something is to
                be embedded by a module that does not say how.
        """
        learning = [step.name for step in self.after if step.needs_training]
        if learning and not len(getattr(_data_of(trainer), "train", ())):
            raise ValueError(
                f"{learning[0]} is fitted on embeddings of training images, and there are none: "
                "give a data module that has a training split, or leave the step out"
            )
        if (learning or self.views) and not hasattr(module, "embed"):
            raise ValueError(
                f"{type(module).__name__} needs a method embed(images) for "
                f"{(*learning, *(view.name for view in self.views))[0]}"
            )

    def add(self, trainer: Trainer, outputs: Any, batch: Batch, loader: int) -> None:
        """Embed the other views of a batch."""
        for number, view in enumerate(self.views):
            began = time.perf_counter()
            embed: Any = trainer.lightning_module.embed
            with trainer.precision_plugin.forward_context():
                embeddings = averaged(_embeddings_of(outputs), batch.images, view, embed)
            collector = self._collected[number].setdefault(loader, EmbeddingCollector())
            collector.add({"embeddings": embeddings}, batch)
            self._seconds[number] += time.perf_counter() - began

    def fit(self, trainer: Trainer, module: LightningModule, stage: Stage) -> None:
        """Fit those steps that learn, on training images as evaluation sees them; collective."""
        learning = [step for step in self.after if step.needs_training]
        if learning:
            training = _training_embeddings(trainer, module, stage)
            for step in learning:
                step.fit(training)

    def variants(
        self, sides: Sides, search: AnySearch, score: ScoreSides, seen: Sequence[Sides]
    ) -> Iterator[Variant]:
        """Score everything; collective.

        Args:
            sides: What was embedded.
            search: How it is searched without a step.
            score: Gives the scores of a search.
            seen: What was embedded of each way of viewing.
        """
        for step in self.after:
            began = time.perf_counter()
            retrieval = step(Retrieval(sides.queries, sides.gallery, search))
            scores = score(_after(sides, step.name, retrieval), retrieval.search)
            yield Variant(step.name, scores, time.perf_counter() - began)
        for number, (view, of_view) in enumerate(zip(self.views, seen, strict=True)):
            began = time.perf_counter()
            scores = score(of_view._replace(name=f"{sides.name}/{view.name}"), search)
            seconds = self._seconds[number] + time.perf_counter() - began
            yield Variant(view.name, scores, seconds)

    def seen(self, trainer: Trainer, stage: Stage, device: torch.device) -> list[Iterator[Sides]]:
        """What each way of viewing gave, loader by loader; collective."""
        return [collected_sides(trainer, stage, of, device) for of in self._collected]


def show_variants(title: str, variants: Sequence[Variant]) -> None:
    """Print a line each, the plain search first.

    >>> show_variants("test", [Variant("plain", {"recall@1": 0.5, "queries": 9}, 0.25)])
    ┏━━━━━━━┳━━━━━━━━━━┳━━━━━━━━━┓
    ┃ test  ┃ recall@1 ┃ seconds ┃
    ┡━━━━━━━╇━━━━━━━━━━╇━━━━━━━━━┩
    │ plain │   0.5000 │    0.25 │
    └───────┴──────────┴─────────┘
    """
    columns = _columns(variants[0].scores)
    table = Table(title)
    for column in (*columns, "seconds"):
        table.add_column(column, justify="right")
    for variant in variants:
        numbers = [f"{variant.scores[column]:.4f}" for column in columns]
        table.add_row(variant.name, *numbers, f"{variant.seconds:.2f}")
    plain_console().print(table)


def _columns(scores: Mapping[str, float]) -> list[str]:
    """The first K of Recall@K, then means over rankings; few enough for a terminal."""
    first = next(name for name in scores if "recall@" in name)
    rest = [name for name in scores if name.rpartition("/")[2] in ("map", "map@r", "r_precision")]
    return [first, *rest][:_COLUMNS]


def _after(sides: Sides, name: str, retrieval: Retrieval) -> Sides:
    """The sides of a step; where it made a gallery of the queries, that has their data set."""
    datasets = sides.datasets if sides.gallery is not None else sides.datasets[:1] * 2
    return Sides(f"{sides.name}/{name}", retrieval.queries, retrieval.gallery, datasets)


@torch.no_grad()
def _training_embeddings(trainer: Trainer, module: Any, stage: Stage) -> Embedded:
    loader = _data_of(trainer).train_as_evaluated()
    collected, size = EmbeddingCollector(), len(loader.dataset)
    told = f"{stage}: embed {size:,} training images"
    with rows_progress(trainer, told, len(loader), size) as advance:
        for batch in loader:
            with trainer.precision_plugin.forward_context():
                embeddings = module.embed(batch.images.to(module.device))
            collected.add({"embeddings": embeddings}, batch)
            advance(1)
    return collected.rows(module.device)


def _embeddings_of(outputs: Any) -> Tensor:
    """What the collector has checked is there."""
    embeddings: Tensor = (
        outputs["embeddings"] if isinstance(outputs, Mapping) else outputs.embeddings
    )
    return embeddings


def _data_of(trainer: Trainer) -> Any:
    return getattr(trainer, "datamodule", None)
