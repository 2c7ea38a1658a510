"""From the two callables of a configuration to what Lightning wants."""

from collections.abc import Iterable
from typing import Literal

from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable, ReduceLROnPlateau
from pytorch_lightning.utilities.types import LRSchedulerConfigType, OptimizerLRScheduler
from torch import nn


def configure(
    optimizer: OptimizerCallable,
    lr_scheduler: LRSchedulerCallable | None,
    parameters: Iterable[nn.Parameter],
    interval: Literal["epoch", "step"] = "epoch",
) -> OptimizerLRScheduler:
    """Build the optimizer and, if there is one, the schedule, stepped once an interval."""
    built = optimizer(parameters)
    if lr_scheduler is None:
        return built
    schedule = lr_scheduler(built)
    stepped: LRSchedulerConfigType = {"scheduler": schedule, "interval": interval}
    if isinstance(schedule, ReduceLROnPlateau):
        stepped["monitor"] = schedule.monitor
    return {"optimizer": built, "lr_scheduler": stepped}
