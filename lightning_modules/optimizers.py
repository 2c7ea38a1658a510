"""From the callables of a configuration to what Lightning wants."""

import math
from collections.abc import Mapping
from typing import Any, Literal

import pytorch_lightning as pl
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable, ReduceLROnPlateau
from pytorch_lightning.utilities.types import LRSchedulerConfigType, OptimizerLRScheduler
from torch.optim import Optimizer

from ranklight.lightning_modules.rates import Group, Rate, learning, parameter_groups
from ranklight.lightning_modules.warm_up_cosine import WarmUpCosine


def configure(
    module: pl.LightningModule,
    optimizer: OptimizerCallable,
    lr_scheduler: LRSchedulerCallable | None,
    interval: Literal["epoch", "step"],
    rates: Mapping[str, Rate],
    decay_norms_and_biases: bool,
) -> OptimizerLRScheduler:
    """Build the optimizer over what learns and, if there is one, the schedule.

    Raises:
        ValueError: Nothing learns; rates that name nothing, that the optimizer cannot take or the
            schedule would overwrite; or a schedule whose length is not known.
    """
    if next(learning(module), None) is None:
        raise ValueError(
            "nothing learns: every part is frozen or has no parameters. Give the encoder a "
            "projection (embedding_dim), freeze fewer parts of the trunk, or score it as it is by "
            "ranklight test --zero_shot true"
        )
    if rates or not decay_norms_and_biases:
        built = _in_groups(optimizer, parameter_groups(module, rates, decay_norms_and_biases))
    else:
        built = optimizer(parameter for _, parameter in learning(module))
    if lr_scheduler is None:
        return built
    shares = [group["lr"] / built.param_groups[0]["lr"] for group in built.param_groups]
    schedule = lr_scheduler(built)
    _check_rates_are_kept(built, shares, type(schedule).__name__)
    if isinstance(schedule, WarmUpCosine) and schedule.total_steps is None:
        schedule.complete(_steps(module, interval))
    stepped: LRSchedulerConfigType = {"scheduler": schedule, "interval": interval}
    if isinstance(schedule, ReduceLROnPlateau):
        stepped["monitor"] = schedule.monitor
    return {"optimizer": built, "lr_scheduler": stepped}


def _in_groups(optimizer: OptimizerCallable, groups: list[Group]) -> Optimizer:
    """An optimizer whose groups have rates in proportion to its own, and names for the logs."""
    given: list[Any] = [{"params": group.parameters} for group in groups]
    built = optimizer(given)
    for number, (group, wanted) in enumerate(zip(built.param_groups, groups, strict=True)):
        group["name"] = f"{number} {wanted.part or 'the rest'}"
        group["lr"] *= wanted.factor
        group["own_weight_decay"] = wanted.weight_decay is not None
        if wanted.weight_decay is None:
            continue
        if "weight_decay" not in group:
            raise ValueError(f"rates have a weight decay, and {type(built).__name__} takes none")
        group["weight_decay"] = wanted.weight_decay
    return built


def _check_rates_are_kept(built: Optimizer, shares: list[float], name: str) -> None:
    """Refuse schedules that set one rate for all, which would undo the factors without a word."""
    first = built.param_groups[0].get("initial_lr")
    for group, share in zip(built.param_groups, shares, strict=True):
        if first is not None and not math.isclose(group["initial_lr"], share * first):
            raise ValueError(
                f"{name} sets the same rate for every part, against the factors in rates: take a "
                "schedule that multiplies, such as ranklight.lightning_modules.WarmUpCosine"
            )


def _steps(module: pl.LightningModule, interval: str) -> int:
    """How many steps the run has, for a schedule that is stepped in each of them."""
    if interval != "step":
        raise ValueError("WarmUpCosine counts steps: set lr_interval to step, not epoch")
    steps = module.trainer.estimated_stepping_batches
    if math.isinf(steps):
        raise ValueError(
            "WarmUpCosine is as long as the run, and nothing ends it: set max_epochs or max_steps"
        )
    return int(steps)
