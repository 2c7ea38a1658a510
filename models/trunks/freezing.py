"""Which parts of a trunk rest."""

from collections.abc import Callable
from typing import Literal

from torch import nn

Freeze = int | Literal["whole"]
"""How many of a trunk's parts do not learn, from the pictures on."""


def freeze_parts(
    network: nn.Module,
    name: str,
    freeze: Freeze,
    parts_of: Callable[[nn.Module], list[list[nn.Parameter]]],
) -> None:
    """Let the first parts rest, or all.

    Raises:
        ValueError: There are fewer parts.
    """
    if freeze == "whole":
        network.requires_grad_(False)
    elif freeze:
        parts = parts_of(network)
        if not 0 <= freeze <= len(parts):
            raise ValueError(
                f"{name} has {len(parts)} parts: freeze must be 0 to {len(parts)}, or whole, "
                f"got {freeze}"
            )
        for parameter in (parameter for part in parts[:freeze] for parameter in part):
            parameter.requires_grad_(False)


def rest(network: nn.Module) -> None:
    """Put what does not learn into eval mode: running statistics stay, nothing is dropped."""
    for module in network.modules():
        parameters = list(module.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            for part in module.modules():
                part.training = False
