"""Progress of an evaluation's stages: in the trainer's bar, or in the log."""

import contextlib
import logging
from collections.abc import Callable, Iterator

from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import RichProgressBar

from ranklight.search import Embedded

_TINY = 5000
_log = logging.getLogger(__name__)


def describe_embedding(trainer: Trainer, task: str) -> None:
    """Lightning's own bar is of the embedding: let it say so."""
    bar = trainer.progress_bar_callback
    if isinstance(bar, RichProgressBar) and bar.progress and getattr(bar, task) is not None:
        bar.progress.update(getattr(bar, task), description=task.split("_")[0] + ": embed")


@contextlib.contextmanager
def stage_progress(
    trainer: Trainer, name: str, steps: int, embedded: Embedded
) -> Iterator[Callable[[int], object]]:
    """A bar beside the trainer's if that is Rich, else a line in the log; nothing if tiny."""
    rows = embedded.shards.size
    told = f"{name} among {rows:,} embeddings"
    with rows_progress(trainer, name, steps, rows, told) as advance:
        yield advance


@contextlib.contextmanager
def rows_progress(
    trainer: Trainer, name: str, steps: int, rows: int, told: str = ""
) -> Iterator[Callable[[int], object]]:
    """`stage_progress` of so many rows; a log says what is `told`, by default the name."""
    bar = trainer.progress_bar_callback
    if rows < _TINY:
        yield lambda done: None
    elif isinstance(bar, RichProgressBar) and bar.progress is not None:
        progress = bar.progress
        task = progress.add_task(name, total=steps)
        try:
            yield lambda done: progress.update(task, advance=done)
        finally:
            progress.update(task, visible=False)
    else:
        _log.info("%s", told or name)
        yield lambda done: None
