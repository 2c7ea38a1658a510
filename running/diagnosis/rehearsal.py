"""`fit` up to its first step, and what was heard and seen on the way."""

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pytorch_lightning import Callback, LightningDataModule, LightningModule, Trainer

from ranklight.running.checks_before_training import (
    CheckBeforeTraining,
    length_of,
    monitors_of,
    number_of_steps,
)
from ranklight.running.what_learns import Groups, groups_of

_PACKAGE = Path(__file__).resolve().parents[2]


class Schedule(NamedTuple):
    """How long a learning rate's schedule is, and how often the run steps it."""

    name: str
    length: int | None
    steps: int | float
    interval: str


class Rehearsal:
    """What is known once a run could begin.

    Attributes:
        refusals: What fit ends with before its first step.
        warnings: What our own code warns of on the way.
        summaries: What the data module says that it found, and left out.
        began: Whether it got as far as its first step.
        embedding_dim: Of what the sanity validation gave; None where it gave no embeddings.
        steps_an_epoch: Steps of the optimizer.
        steps: Of the whole run; infinite where nothing ends it.
        schedules: Those of the learning rates.
        monitors: The names that checkpoints, early stopping and schedules look at.
        groups: Of the optimizers, by the parameters in them.
    """

    def __init__(self) -> None:
        self.refusals: list[Exception] = []
        self.warnings: list[str] = []
        self.summaries: list[str] = []
        self.began = False
        self.embedding_dim: int | None = None
        self.steps_an_epoch: int | float = 0
        self.steps: int | float = 0
        self.schedules: list[Schedule] = []
        self.monitors: set[str] = set()
        self.groups: Groups = {}


def rehearse(trainer: Trainer, model: LightningModule, data: LightningDataModule) -> Rehearsal:
    """Call `fit` and end it before its first step.

    Where its sanity validation fails it is tried again without, for the rest can be known anyway.

    Args:
        trainer: Writes nothing before the first step.
        model: What would learn.
        data: What it would learn from; is set up afterwards, if it can be.
    """
    rehearsal = Rehearsal()
    watch = _Watch(rehearsal)
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    callbacks[:] = [watch, *callbacks, CheckBeforeTraining(check_images=False), _End()]
    said = _said_by(data, rehearsal.summaries)
    with _in_this_process(data), _heard(rehearsal.warnings), said:
        _fit(trainer, model, data, rehearsal)
        if watch.validates:
            trainer.num_sanity_val_steps = 0
            _fit(trainer, model, data, rehearsal)
    return rehearsal


class _EnoughIsSeen(Exception):  # noqa: N818
    """No error, but the only way out of `fit` that runs no hook of a run's end."""


class _Watch(Callback):
    def __init__(self, rehearsal: Rehearsal) -> None:
        self.rehearsal = rehearsal
        self.validates = False

    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.validates = True

    def on_sanity_check_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.validates = False

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        embeddings = _embeddings_of(outputs)
        if embeddings is not None:
            self.rehearsal.embedding_dim = embeddings.shape[1]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        seen = self.rehearsal
        seen.began = True
        seen.steps = trainer.estimated_stepping_batches
        seen.steps_an_epoch = -(-trainer.num_training_batches // trainer.accumulate_grad_batches)
        seen.monitors = monitors_of(trainer)
        seen.schedules = [
            Schedule(
                type(config.scheduler).__name__,
                length_of(config.scheduler),
                number_of_steps(trainer, config.interval),
                config.interval,
            )
            for config in trainer.lr_scheduler_configs
        ]
        seen.groups = groups_of(trainer.optimizers)


class _End(Callback):
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        raise _EnoughIsSeen


def _fit(
    trainer: Trainer, model: LightningModule, data: LightningDataModule, rehearsal: Rehearsal
) -> None:
    try:
        trainer.fit(model, datamodule=data)
    except _EnoughIsSeen:
        pass
    except Exception as error:
        rehearsal.refusals.append(error)


def _embeddings_of(outputs: Any) -> Any:
    if isinstance(outputs, dict):
        return outputs.get("embeddings")
    return getattr(outputs, "embeddings", None)


@contextlib.contextmanager
def _in_this_process(data: Any) -> Iterator[None]:
    """Two batches are read sooner than processes start."""
    before = getattr(data, "num_workers", 0)
    data.num_workers = 0
    try:
        yield
    finally:
        data.num_workers = before


@contextlib.contextmanager
def _said_by(data: object, sentences: list[str]) -> Iterator[None]:
    """Keep the line that a data module logs when it is set up, which begins with its name."""
    logger = logging.getLogger("pytorch_lightning.utilities.rank_zero")

    def take(record: logging.LogRecord) -> bool:
        sentence = record.getMessage()
        is_summary = sentence.startswith(f"{type(data).__name__}: ")
        if is_summary and sentence not in sentences:
            sentences.append(sentence)
        return not is_summary

    logger.addFilter(take)
    try:
        yield
    finally:
        logger.removeFilter(take)


@contextlib.contextmanager
def _heard(sentences: list[str]) -> Iterator[None]:
    """Keep the warnings of our own code; Lightning's are about training, which there is none of."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        yield
    for warning in heard:
        sentence = str(warning.message)
        if _is_ours(Path(warning.filename)) and sentence not in sentences:
            sentences.append(sentence)


def _is_ours(file: Path) -> bool:
    """In the package, but not in an environment that lies in its checkout."""
    return file.is_relative_to(_PACKAGE) and "site-packages" not in file.relative_to(_PACKAGE).parts
