"""What of a run leaves it: all that answers and proves, no name of a folder of its machine."""

import copy
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

from torchvision.transforms import v2

from ranklight.datamodules.reading.transforms import Transform
from ranklight.running.saved_parts import build_data_module
from ranklight.serving.stored import Stored

_KEPT = ("experiment", "seed_everything", "model")
_OF_STAGES = (
    *("stage", "started", "ended", "outcome", "git", "versions", "device", "world_size"),
    *("seed", "split_seed", "split_hash", "weights_hash", "scores"),
)
_DATA = "ranklight.datamodules.image_file_data.ImageFileData"
_DATA_THAT_DRAWS = "ranklight.datamodules.split_data.SplitData"


def public(stored: Stored) -> Stored:
    """A trained model as it may be handed on: its data module shrinks to what it sees of a picture.

    Raises:
        ValueError: Its transforms in evaluation cannot be written down.
    """
    given = stored.configuration
    configuration: dict[str, Any] = {key: given[key] for key in _KEPT if key in given}
    configuration["model"] = _without_folders(configuration["model"])
    configuration["data"] = _view(given)
    data = stored.provenance.get("data", given["data"]["class_path"])
    return stored._replace(
        configuration=configuration,
        provenance={**_record(stored.provenance), "data": data},
    )


def _view(configuration: dict[str, Any]) -> dict[str, Any]:
    data: Any = build_data_module(configuration)
    if not hasattr(data, "eval_transforms"):
        return {"class_path": _DATA_THAT_DRAWS, "init_args": {}}
    given = (configuration["data"].get("init_args") or {}).get("eval_transforms")
    parts = [_part(each) for each in data.eval_transforms] if given is None else given
    seen = {"image_size": list(data.image_size), "eval_transforms": parts}
    return {"class_path": _DATA, "init_args": {**seen, "background": list(data.background)}}


def _part(transform: Transform) -> dict[str, Any]:
    """A transform of a data module's own, as YAML names it."""
    if not isinstance(transform, v2.Resize | v2.CenterCrop):
        raise ValueError(
            f"the run's data module has {type(transform).__name__} among its eval_transforms, "
            "which its config.yaml does not name: give eval_transforms there to export it"
        )
    path = f"torchvision.transforms.v2.{type(transform).__name__}"
    return {"class_path": path, "init_args": {"size": list(transform.size)}}


def _record(provenance: dict[str, Any]) -> dict[str, Any]:
    stages = [
        {key: stage[key] for key in _OF_STAGES if key in stage}
        | {"checkpoint": _name(stage.get("checkpoint"))}
        for stage in provenance["stages"]
    ]
    return {**provenance, "checkpoint": _name(provenance["checkpoint"]), "stages": stages}


def _name(path: str | None) -> str | None:
    return None if path is None else Path(path).name


def _without_folders(tree: Any) -> Any:
    """A copy where files of weights, which an export replaces, are named without their folder."""
    kept = copy.deepcopy(tree)
    for part in _parts(kept):
        if isinstance(weights := part.get("weights"), str):
            part["weights"] = PurePath(weights).name
    return kept


def _parts(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
    for part in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _parts(part)
