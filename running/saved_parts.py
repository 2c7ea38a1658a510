"""The module and the data module of a run, built again from its configuration."""

import copy
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser
from pytorch_lightning import LightningDataModule, LightningModule

from ranklight.models import TimmTrunk, TorchvisionTrunk
from ranklight.running.nulls import read_nulls

_ONLY_IN_TRAINING: dict[str, Any] = {
    "objective": {
        "class_path": "ranklight.pairs.Objective",
        "init_args": {"loss": {"class_path": "torch.nn.Identity"}},
    },
    "loss": {"class_path": "torch.nn.Identity"},
    "optimizer": {"class_path": "torch.optim.SGD"},
    "lr_scheduler": None,
}
_OURS = (TimmTrunk, TorchvisionTrunk)


def build_module(configuration: dict[str, Any]) -> LightningModule:
    """The module that a run trained, without weights and without what only training needs.

    Nothing is fetched: pretrained weights, which a checkpoint's replace, are left out.

    Args:
        configuration: As config.yaml and checkpoints hold it.

    Raises:
        ValueError: It has no `model`, or one that cannot be built here; says why.
    """
    model: Any = copy.deepcopy(configuration.get("model"))
    given = model.get("init_args") if isinstance(model, dict) else None
    if not isinstance(given, dict):
        raise ValueError("the run's configuration has no part `model` with a class_path")
    for name, stand_in in _ONLY_IN_TRAINING.items():
        if given.get(name) is not None:
            given[name] = stand_in
    for part in _parts(model):
        if issubclass(_class_of(part), _OURS):
            part.get("init_args", {})["weights"] = None
    built: LightningModule = _build(LightningModule, model)
    return built


def build_data_module(configuration: dict[str, Any]) -> LightningDataModule:
    """The data module of a run, which has read nothing.

    Raises:
        ValueError: It has no `data`, or one that cannot be built here; says why.
    """
    data = configuration.get("data")
    if not isinstance(data, dict):
        raise ValueError("the run's configuration has no part `data` with a class_path")
    built: LightningDataModule = _build(LightningDataModule, data)
    return built


def _build(kind: type[Any], part: dict[str, Any]) -> Any:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(kind, "part", required=True)
    try:
        parsed = parser.parse_object({"part": part})
    except ArgumentError as error:
        raise ValueError(
            f"{part.get('class_path')} of the run cannot be built here: {_reason(error)}"
        ) from error
    read_nulls(parsed)
    return parser.instantiate_classes(parsed).part


def _reason(error: ArgumentError) -> str:
    """What was wrong with the class that was named, without all else that it was not."""
    words = str(error).partition("Errors:")[2] or str(error)
    return " ".join(words.partition("- Expected a")[0].split()).removeprefix("- ")


def _parts(tree: Any) -> Iterator[dict[str, Any]]:
    """Every part of a configuration that names a class."""
    if isinstance(tree, dict):
        if "class_path" in tree:
            yield tree
        for value in tree.values():
            yield from _parts(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _parts(value)


def _class_of(part: dict[str, Any]) -> type[Any]:
    """What a part names; `object` where it cannot be found, which the builder says better."""
    module, _, name = str(part["class_path"]).rpartition(".")
    try:
        found = getattr(import_module(module), name, object)
    except (ImportError, ValueError):
        return object
    return found if isinstance(found, type) else object
