"""`contract.json`: what a caller without ranklight must know of an exported model."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import v2

from ranklight import __version__
from ranklight.models import Pictures
from ranklight.serving.exported.formats import INPUT
from ranklight.serving.exported.self_test import Example, Tested
from ranklight.serving.stored import CONFIGURATION, CONTRACT, WEIGHTS, Stored
from ranklight.serving.trained_model import TrainedModel
from ranklight.serving.view import View

CARD = "README.md"
Contract = dict[str, Any]


def contract_of(
    trained: TrainedModel, stored: Stored, example: Example, tested: Tested | None, folder: Path
) -> Contract:
    """What is true of a model and of the files of its folder.

    Args:
        trained: The model.
        stored: What is handed on of it.
        example: Pictures, and what it says of them.
        tested: How the graph compares with the run, where there is one.
        folder: With every file but `contract.json` in it.
    """
    outputs = {
        name: {"type": _kind(said), "shape": ["batch", said.shape[1]]}
        for name, said in example.answers.items()
    }
    return {
        "ranklight": __version__,
        "input": _input(trained, example.pictures),
        "outputs": outputs,
        "embedding_size": trained.embedding_size,
        "normalised": trained.normalised,
        "class_names": trained.class_names,
        "decision": example.decision,
        "similarity_threshold": trained.similarity_threshold,
        "encoder": trained.encoder_hash,
        "self_test": None if tested is None else _self_test(example, tested),
        "files": {file.name: hash_of(file) for file in sorted(folder.iterdir())},
        "provenance": stored.provenance,
    }


def _input(trained: TrainedModel, pictures: Pictures) -> dict[str, Any]:
    _, channels, height, width = pictures.shape
    return {
        "name": INPUT,
        "type": _kind(pictures),
        "range": [0, 255] if pictures.dtype == torch.uint8 else [0, 1],
        "shape": ["batch", channels, height, width],
        "colour": "grey" if channels == 1 else "RGB",
        "transform": _steps(trained.transform),
        "normalisation": "inside the graph",
    }


def _self_test(example: Example, tested: Tested) -> dict[str, Any]:
    return {
        "pictures": len(example.pictures),
        "drawn": example.drawn,
        "precision": "float16" if tested.half else "float32",
        "largest_difference": tested.differences,
        "allowed": tested.limits,
    }


def read_contract(folder: Path) -> Contract:
    """The contract of an exported folder, whose files are those that it names.

    Raises:
        FileNotFoundError: It is no such folder, or a file is missing.
        ValueError: A file is not the one that was exported; names it.
    """
    missing = [name for name in (CONTRACT, CONFIGURATION, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{folder} is no folder that `ranklight export` wrote: it has no {', '.join(missing)}"
        )
    try:
        contract: Contract = json.loads((folder / CONTRACT).read_text(encoding="utf-8"))
        files: dict[str, str] = contract["files"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder / CONTRACT} is no contract: {error!r}") from error
    for name, digest in files.items():
        file = folder / name
        if Path(name).name != name or not file.is_file():
            raise FileNotFoundError(f"{folder} has no {name}, which its {CONTRACT} names")
        if hash_of(file) != digest:
            raise ValueError(
                f"{file} is not the file that was exported (its SHA-256 differs from {CONTRACT}'s):"
                " export or pull it again"
            )
    return contract


def hash_of(file: Path) -> str:
    """SHA-256 of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _kind(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _steps(view: View) -> list[str]:
    """What happens to an RGB picture before it is the input, in torchvision's words."""
    transforms = view.whole.transforms if isinstance(view.whole, v2.Compose) else [view.whole]
    steps = [str(transform) for transform in transforms]
    return [*steps, "grey: 0.299 R + 0.587 G + 0.114 B, rounded"] if view.grey else steps
