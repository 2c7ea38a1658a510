"""What can be known to go wrong before the first step is refused before it."""

import math
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_warn
from torch.optim import lr_scheduler

from ranklight.datamodules.examination import named_splits, unreadable_headers
from ranklight.kernels.distributed import all_gather_object, rank_and_world_size
from ranklight.pairs import CrossBatchMemory
from ranklight.running.file_progress import file_progress

_ENDS = {
    lr_scheduler.OneCycleLR: ("total_steps", "it has no rate after its end"),
    lr_scheduler.CosineAnnealingLR: ("T_max", "the rate rises again after it"),
    lr_scheduler.PolynomialLR: ("total_iters", "the rate is 0 after it"),
}


class CheckBeforeTraining(Callback):
    """Compares what is configured with what the run will do, when both are known.

    - The headers of all image files, of every split: whether these can be images at all. A rank
      looks at its share. About 10,000 files a second of one core, so a million takes two minutes;
      what it takes is said where it takes long. `ranklight doctor` reads the pixels as well.
    - The names that checkpoints, early stopping and schedules monitor with those that validation
      logs: what the sanity validation logged, and what the module and each evaluation say they log.
      A callback or module of one's own that says nothing of it is taken at its word.
    - The length of a schedule with the number of its steps.
    - The size of a memory with the number of training images (a warning).

    Args:
        check_images: Look at the headers.
    """

    def __init__(self, check_images: bool = True) -> None:
        self.check_images = check_images
        self._validated: set[str] = set()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the headers.

        Raises:
            ValueError: Some file cannot be an image; names the first, on every rank.
        """
        if self.check_images:
            _check_headers(getattr(trainer, "datamodule", None))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember what modules log themselves."""
        if trainer.sanity_checking:
            self._validated = set(trainer.callback_metrics)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check all.

        Raises:
            ValueError: A monitored name that nothing logs, or a schedule that is too short.
        """
        for config in trainer.lr_scheduler_configs:
            _check_length(trainer, config.scheduler, config.interval)
        if trainer.enable_validation:
            _check_monitors(trainer, pl_module, self._validated)
        _compare_memory(trainer, pl_module)


def _check_headers(data: Any) -> None:
    splits = named_splits(data).values()
    files = sorted({file for split in splits for file in getattr(split, "files", ())})
    rank, world_size = rank_and_world_size()
    share = files[rank::world_size]
    with file_progress("headers", len(share)) as advance:
        own = unreadable_headers(share, advance)
    faults = [sentence for each in all_gather_object(own) for sentence in each]
    if faults:
        raise ValueError(
            f"{len(faults):,} of {len(files):,} image files cannot be read, first: {faults[0]}; "
            "`ranklight doctor` names them all"
        )


def length_of(schedule: Any) -> int | None:
    """How many steps a schedule of the learning rate has; None where it has no end of its own."""
    end = _end_of(schedule)
    return None if end is None else getattr(schedule, end[0])


def _end_of(schedule: Any) -> tuple[str, str] | None:
    """Where a schedule keeps its length, and what comes after; ours say it themselves."""
    end: tuple[str, str] | None = getattr(schedule, "past_end", _ENDS.get(type(schedule)))
    return end


def _check_length(trainer: Trainer, schedule: Any, interval: str) -> None:
    length, steps = length_of(schedule), number_of_steps(trainer, interval)
    end = _end_of(schedule)
    if end is not None and length is not None and steps > length:
        name, why = end
        raise ValueError(
            f"{type(schedule).__name__} needs a {name} of at least the run's {steps:,} "
            f"{interval}s, got {length:,}: {why}"
        )


def number_of_steps(trainer: Trainer, interval: str) -> int | float:
    """How often the run will step a schedule; infinite where nothing ends it."""
    steps = trainer.estimated_stepping_batches
    if interval == "step" or steps == math.inf:
        return steps
    if trainer.max_epochs not in (None, -1) and trainer.max_steps == -1:
        return int(trainer.max_epochs or 0)
    batches = math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
    # The epoch in which max_steps ends the run before its end takes no step of the schedule.
    epochs = int(steps) // max(1, batches)
    return epochs if trainer.max_epochs in (None, -1) else min(epochs, int(trainer.max_epochs or 0))


def monitors_of(trainer: Trainer) -> set[str]:
    """The names of scores that checkpoints, early stopping and schedules look at."""
    callbacks: list[Callback] = getattr(trainer, "callbacks", [])
    monitors = {getattr(callback, "monitor", None) for callback in callbacks}
    monitors |= {
        config.monitor for config in trainer.lr_scheduler_configs if config.reduce_on_plateau
    }
    return {name for name in monitors if name is not None}


def _check_monitors(trainer: Trainer, pl_module: LightningModule, validated: set[str]) -> None:
    callbacks: list[Callback] = getattr(trainer, "callbacks", [])
    if not all(_is_known(part) for part in (pl_module, *callbacks)):
        return
    said = {name for part in (pl_module, *callbacks) for name in getattr(part, "logs", set)()}
    for name in sorted(monitors_of(trainer)):
        own = name.removeprefix("val/")
        if name.startswith("train/") or name in validated:
            continue
        # Of several loaders each has a name between: val/<loader>/recall@1.
        if not name.startswith("val/") or not {own, own.partition("/")[2]} & said:
            there = sorted(validated | {f"val/{name}" for name in said})
            raise ValueError(
                f"{name} is monitored, and validation does not log it; it logs "
                f"{', '.join(there) or 'nothing (callbacks.evaluation is not set)'}"
            )


def _is_known(part: object) -> bool:
    return type(part).__module__.split(".")[0] in ("ranklight", "pytorch_lightning")


def _compare_memory(trainer: Trainer, pl_module: LightningModule) -> None:
    dataset: Any = getattr(trainer.train_dataloader, "dataset", None)
    if not hasattr(dataset, "__len__"):
        return
    for module in pl_module.modules():
        if isinstance(module, CrossBatchMemory) and module.size > len(dataset):
            rank_zero_warn(
                f"the memory holds {module.size:,} embeddings and training has {len(dataset):,} "
                "images, so it holds older embeddings of the same images: size is better below"
            )
