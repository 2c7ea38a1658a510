"""What a checkpoint must be to be loaded."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


def check_same_architecture(module: nn.Module, weights: Mapping[str, Any]) -> None:
    """Refuse weights that are not this module's.

    Raises:
        ValueError: Names or shapes differ; names the first of each.
    """
    own, given = _shapes(module.state_dict()), _shapes(weights)
    missing = [name for name in own if name not in given]
    unknown = [name for name in given if name not in own]
    reshaped = [
        f"{name} is {given[name]}, needed is {own[name]}"
        for name in own
        if name in given and own[name] != given[name]
    ]
    if not (missing or unknown or reshaped):
        return
    raise ValueError(
        "the checkpoint is of another architecture than the configuration describes. "
        f"Missing in it ({len(missing)}): {', '.join(missing[:3]) or 'nothing'}. "
        f"Unknown here ({len(unknown)}): {', '.join(unknown[:3]) or 'nothing'}. "
        f"Of another shape ({len(reshaped)}): {'; '.join(reshaped[:3]) or 'nothing'}. "
        "Run with the config.yaml beside the checkpoint."
    )


def _shapes(weights: Mapping[str, Any]) -> dict[str, list[int]]:
    tensors = {name: value for name, value in weights.items() if isinstance(value, Tensor)}
    return {name: list(tensor.shape) for name, tensor in tensors.items()}
