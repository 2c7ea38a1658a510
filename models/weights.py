"""Weights of a file: what they are of, and whether they fit."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

_TRUNK = "trunk.body."
"""Where the trunk's network lies in a checkpoint of a run."""


def read_weights(file: str, name: str) -> dict[str, Tensor]:
    """The tensors of a state dict: as torch or safetensors store it, bare or in a checkpoint.

    Of a checkpoint with an average of the weights it is the average; of one of a run of this
    package it is the trunk's network.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It holds no weights.
    """
    from timm.models import load_state_dict

    if not Path(file).is_file():
        raise FileNotFoundError(f"weights of {name}: there is no file {file}")
    try:
        content: Any = load_state_dict(file)
    except Exception as error:  # Of bytes that are no pickle, unpickling raises anything.
        raise ValueError(f"weights of {name}: {file} cannot be read ({error})") from error
    weights = {key: value for key, value in content.items() if isinstance(value, Tensor)}
    if not weights:
        raise ValueError(
            f"weights of {name}: {file} holds no tensors but {', '.join(list(content)[:3])}; "
            "needed is a state dict"
        )
    of_run = {key.split(_TRUNK)[1]: value for key, value in weights.items() if _TRUNK in key}
    return of_run or weights


def load_weights(
    network: nn.Module, weights: Mapping[str, Tensor], left_out: set[str], what: str
) -> None:
    """Load what fits exactly, but for names that are known to have no place: a classifier's.

    Raises:
        ValueError: Names or shapes differ; names the first three.
    """
    if left_out:
        warnings.warn(f"{what}: left out are {', '.join(sorted(left_out))}", stacklevel=2)
    kept = {name: tensor for name, tensor in weights.items() if name not in left_out}
    differences = misfits(network.state_dict(), kept)
    if differences:
        raise ValueError(f"{what} are not those of this network. {differences}")
    network.load_state_dict(kept)


def misfits(own: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """How two state dicts differ in names and shapes, the first three of each; "" if they do not.

    Example:
        >>> misfits(nn.Linear(2, 3).state_dict(), nn.Linear(2, 3, bias=False).state_dict())
        'Missing in it (1): bias. Unknown here (0): nothing. Of another shape (0): nothing.'
    """
    own, given = _shapes(own), _shapes(given)
    missing = [name for name in own if name not in given]
    unknown = [name for name in given if name not in own]
    reshaped = [
        f"{name} is {given[name]}, needed is {own[name]}"
        for name in own
        if name in given and own[name] != given[name]
    ]
    if not (missing or unknown or reshaped):
        return ""
    return (
        f"Missing in it ({len(missing)}): {', '.join(missing[:3]) or 'nothing'}. "
        f"Unknown here ({len(unknown)}): {', '.join(unknown[:3]) or 'nothing'}. "
        f"Of another shape ({len(reshaped)}): {'; '.join(reshaped[:3]) or 'nothing'}."
    )


def _shapes(weights: Mapping[str, Any]) -> dict[str, list[int]]:
    tensors = {name: value for name, value in weights.items() if isinstance(value, Tensor)}
    return {name: list(tensor.shape) for name, tensor in tensors.items()}
