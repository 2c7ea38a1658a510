"""What learns, how much of it there is, at which rate, and what the network is given."""

from collections.abc import Mapping
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.optim import Optimizer

Groups = Mapping[int, Mapping[str, Any]]
"""The group of the optimizer that each parameter, by its id, is in."""

_WIDTH = 120
_WORDS = ("part", "kind")


class WhatLearns(Callback):
    """Prints the parts of the module with their rates when training begins."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """On the first rank."""
        if not trainer.is_global_zero:
            return
        console = Console(highlight=False)
        if not console.is_terminal:
            console = Console(highlight=False, width=_WIDTH)
        console.print(_table(learning_parts(pl_module, groups_of(trainer.optimizers)), console))
        for sentence in normalisation_of(pl_module):
            console.print(sentence, markup=False)


def groups_of(optimizers: list[Optimizer]) -> Groups:
    """Which parameters the optimizers hold."""
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    return {id(parameter): group for group in groups for parameter in group["params"]}


def learning_parts(model: nn.Module, groups: Groups) -> list[dict[str, Any]]:
    """A row a part: its parameters, how many of them learn, its rate and weight decay.

    Parts are what the module consists of, each network among them by its own parts, and what its
    rates name. The rate is the one that a schedule multiplies; of layers, the largest.

    Args:
        model: With `rates`, where it has some.
        groups: Of its optimizers; empty where they are not known.
    """
    rates: Mapping[str, Any] = getattr(model, "rates", {})
    parts: dict[str, list[nn.Parameter]] = {}
    names = {*_children(model), *rates}
    for name, parameter in model.named_parameters():
        around = [part for part in names if f"{name}.".startswith(f"{part}.")]
        parts.setdefault(max(around, key=len, default=name), []).append(parameter)
    modules = dict(model.named_modules())
    rows = [
        {
            "part": part,
            "kind": type(modules.get(part, parameters[0])).__name__,
            "parameters": sum(parameter.numel() for parameter in parameters),
            "learning": sum(each.numel() for each in parameters if each.requires_grad),
            "rate": _largest(parameters, groups, "initial_lr", "lr"),
            "weight_decay": _largest(parameters, groups, "weight_decay"),
            "layer_decay": getattr(rates.get(part), "layer_decay", None),
            "frozen_epochs": getattr(rates.get(part), "frozen_epochs", None) or None,
        }
        for part, parameters in parts.items()
    ]
    used = {key for row in rows for key, value in row.items() if value is not None}
    return [{key: value for key, value in row.items() if key in used} for row in rows]


def normalisation_of(model: nn.Module) -> list[str]:
    """A sentence for each network about what it does to pictures first."""
    return [
        f"{name} subtracts the mean {_listed(module.mean)} and divides by {_listed(module.std)}, "
        "of 0..1"
        for name, module in model.named_modules()
        if name.rpartition(".")[2] == "inputs" and hasattr(module, "mean")
    ]


def _children(model: nn.Module) -> list[str]:
    return [
        f"{name}.{inner}" if inner else name
        for name, child in model.named_children()
        for inner in ([inner for inner, _ in child.named_children()] or [""])
    ]


def _largest(parameters: list[nn.Parameter], groups: Groups, *keys: str) -> float | None:
    """The largest value among the groups, under the first of these keys that one has."""
    held = [groups[id(parameter)] for parameter in parameters if id(parameter) in groups]
    values = [next((group[key] for key in keys if key in group), None) for group in held]
    return max((float(value) for value in values if value is not None), default=None)


def _listed(values: Tensor | nn.Module) -> list[float]:
    assert isinstance(values, Tensor)
    return [round(float(value), 3) for value in values.flatten()]


def _table(rows: list[dict[str, Any]], console: Console) -> Table:
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else None, pad_edge=False)
    for key in rows[0] if rows else ():
        table.add_column(key.replace("_", " "), justify="left" if key in _WORDS else "right")
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    return table


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
