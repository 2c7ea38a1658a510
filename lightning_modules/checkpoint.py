"""What a checkpoint must be to be loaded."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from ranklight.models.weights import misfits


def check_same_architecture(module: nn.Module, weights: Mapping[str, Any]) -> None:
    """Refuse weights that are not this module's.

    Raises:
        ValueError: Names or shapes differ; names the first of each.
    """
    differences = misfits(module.state_dict(), weights)
    if differences:
        raise ValueError(
            "the checkpoint is of another architecture than the configuration describes. "
            f"{differences} Run with the config.yaml beside the checkpoint."
        )
