"""What can be known to go wrong before the first step is refused before it."""

import math
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_warn
from torch.optim import lr_scheduler

from ranklight.pairs import CrossBatchMemory

_ENDS = {
    lr_scheduler.OneCycleLR: ("total_steps", "it has no rate after its end"),
    lr_scheduler.CosineAnnealingLR: ("T_max", "the rate rises again after it"),
    lr_scheduler.PolynomialLR: ("total_iters", "the rate is 0 after it"),
}


class CheckBeforeTraining(Callback):
    """Compares what is configured with what the run will do, when both are known.

    - The names that checkpoints, early stopping and schedules monitor with those that validation
      logs: what the sanity validation logged, and what the module and each evaluation say they log.
      A callback or module of one's own that says nothing of it is taken at its word.
    - The length of a schedule with the number of its steps.
    - The size of a memory with the number of training images (a warning).
    """

    def __init__(self) -> None:
        self._validated: set[str] = set()

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


def _check_length(trainer: Trainer, schedule: Any, interval: str) -> None:
    if type(schedule) not in _ENDS:
        return
    name, why = _ENDS[type(schedule)]
    length, steps = getattr(schedule, name), _number_of_steps(trainer, interval)
    if steps > length:
        raise ValueError(
            f"{type(schedule).__name__} needs a {name} of at least the run's {steps:,} "
            f"{interval}s, got {length:,}: {why}"
        )


def _number_of_steps(trainer: Trainer, interval: str) -> int | float:
    steps = trainer.estimated_stepping_batches
    if interval == "step" or steps == math.inf:
        return steps
    if trainer.max_epochs not in (None, -1) and trainer.max_steps == -1:
        return int(trainer.max_epochs or 0)
    batches = math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
    # The epoch in which max_steps ends the run before its end takes no step of the schedule.
    epochs = int(steps) // max(1, batches)
    return epochs if trainer.max_epochs in (None, -1) else min(epochs, int(trainer.max_epochs or 0))


def _check_monitors(trainer: Trainer, pl_module: LightningModule, validated: set[str]) -> None:
    callbacks: list[Callback] = getattr(trainer, "callbacks", [])
    if not all(_is_known(part) for part in (pl_module, *callbacks)):
        return
    said = {name for part in (pl_module, *callbacks) for name in getattr(part, "logs", set)()}
    plateaus = [config for config in trainer.lr_scheduler_configs if config.reduce_on_plateau]
    monitors = {getattr(part, "monitor", None) for part in (*callbacks, *plateaus)}
    for name in sorted(filter(None, monitors)):
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
