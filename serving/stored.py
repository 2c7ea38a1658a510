"""What there is to load of a trained model: a run, a checkpoint of one, or an exported folder."""

import json
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

import torch
import yaml
from torch import Tensor

from ranklight.files.run_records import read_records
from ranklight.files.text import read_text_file
from ranklight.files.writing import replacing
from ranklight.running.checkpoint_io import newest_whole
from ranklight.running.run_directory import run_of_checkpoint
from ranklight.running.seen_data import SEEN_DATA

CONTRACT, CONFIGURATION, WEIGHTS = "contract.json", "config.yaml", "model.safetensors"
_OF_TRAINING = ("objective.", "loss.")
_VERIFICATION = "VerificationEvaluation"


class Stored(NamedTuple):
    """A trained model before it is built.

    Args:
        configuration: Of its run: the parts `model` and `data` are built again.
        weights: State dict of the module without what only training needs; averages where the run
            averaged.
        seen_data: What `running.SeenData` kept.
        threshold: The similarity from which on two images are taken for the same class.
        provenance: `run`, `checkpoint`, `epoch`, `step` and `stages`, the records of run.json.
    """

    configuration: dict[str, Any]
    weights: dict[str, Tensor]
    seen_data: dict[str, Any]
    threshold: float | None
    provenance: dict[str, Any]


def read_stored(path: str | Path) -> Stored:
    """Read a run's directory (its best checkpoint, else its last), a checkpoint, or an export.

    Raises:
        FileNotFoundError: There is nothing of these; says what was looked for.
        ValueError: A file is not what its name says.
        OSError: A checkpoint is damaged.
    """
    if not str(path):
        raise FileNotFoundError("needed is the directory of a run, and its name is empty")
    path = Path(path)
    if all((path / name).is_file() for name in (CONTRACT, CONFIGURATION, WEIGHTS)):
        return _read_export(path)
    checkpoint = _checkpoint_of(path)
    return _read_checkpoint(newest_whole(checkpoint), run_of_checkpoint(checkpoint.resolve()))


def write_stored(stored: Stored, folder: Path) -> None:
    """Write weights and configuration as an exported folder has them, all but `contract.json`.

    What a checkpoint says beside them is in the header of the weights.

    Raises:
        OSError: They could not be written; names the file.
    """
    from safetensors.torch import save_file

    beside = {
        "seen_data": stored.seen_data,
        "threshold": stored.threshold,
        "provenance": stored.provenance,
    }
    weights = {name: tensor.contiguous() for name, tensor in stored.weights.items()}
    with replacing(folder / WEIGHTS) as fresh:
        save_file(weights, fresh, {"ranklight": json.dumps(beside)})
    with replacing(folder / CONFIGURATION) as fresh:
        fresh.write_text(yaml.safe_dump(stored.configuration, sort_keys=False), encoding="utf-8")


def _checkpoint_of(path: Path) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise FileNotFoundError(
            f"there is no {path}: needed is the directory of a run, a checkpoint, or a folder that "
            "`ranklight export` wrote"
        )
    run = path / "latest" if (path / "latest").is_dir() else path
    for name in ("best", "last"):
        if (found := run / "checkpoints" / f"{name}.ckpt").is_file():
            return found
    raise FileNotFoundError(
        f"{path} has no checkpoint (checkpoints/best.ckpt or last.ckpt), nor {CONTRACT}, "
        f"{CONFIGURATION} and {WEIGHTS} of an export: fit it first, or name another run"
    )


def _read_checkpoint(file: Path, run: Path | None) -> Stored:
    try:
        content: Any = torch.load(file, map_location="cpu", mmap=True, weights_only=True)
    except (UnpicklingError, RuntimeError) as error:
        raise ValueError(f"{file} is no checkpoint that can be read safely: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
        raise ValueError(f"{file} is no checkpoint of a run: it has no state_dict")
    configuration = content.get("config") or _configuration_beside(file, run)
    weights = {
        name: tensor
        for name, tensor in content["state_dict"].items()
        if not name.startswith(_OF_TRAINING)
    }
    provenance = {
        "run": None if run is None else _name_of(run, configuration),
        "checkpoint": str(file),
        "epoch": content.get("epoch"),
        "step": content.get("global_step"),
        "stages": [] if run is None else read_records(run),
    }
    threshold = _threshold(content.get("callbacks", {}))
    return Stored(configuration, weights, content.get(SEEN_DATA, {}), threshold, provenance)


def _name_of(run: Path, configuration: dict[str, Any]) -> str:
    """As `ranklight compare` has it: experiment and run."""
    return f"{configuration.get('experiment') or run.parent.name}/{run.name}"


def _configuration_beside(file: Path, run: Path | None) -> dict[str, Any]:
    beside = file.parent / CONFIGURATION if run is None else run / CONFIGURATION
    if not beside.is_file():
        raise FileNotFoundError(
            f"the checkpoint {file} holds no configuration, and there is no {beside}"
        )
    return _read_configuration(beside)


def _read_configuration(file: Path) -> dict[str, Any]:
    text = read_text_file(file, "configuration")
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{file} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file} must hold keys and their values, got {content!r:.40}")
    return content


def _threshold(callbacks: dict[str, Any]) -> float | None:
    """The similarity S = 1 − ½ d² of the threshold that was fitted on the first data set."""
    for name, state in callbacks.items():
        thresholds = state.get("thresholds") if name.startswith(_VERIFICATION) else None
        if thresholds:
            return 1 - float(next(iter(thresholds.values()))) / 2
    return None


def _read_export(folder: Path) -> Stored:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / WEIGHTS, "pt") as file:
            beside = json.loads((file.metadata() or {}).get("ranklight", "{}"))
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{folder / WEIGHTS} is no safetensors file: {error}") from error
    if not beside:
        raise ValueError(f"{folder / WEIGHTS} was not written by `ranklight export`")
    return Stored(_read_configuration(folder / CONFIGURATION), weights, **beside)
