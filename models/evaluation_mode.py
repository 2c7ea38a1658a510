"""A network as it answers, in the middle of its training."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def in_evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Every part in evaluation mode, and then in the mode that it was in.

    Example:
        >>> network = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2).eval())
        >>> with in_evaluation_mode(network):
        ...     [each.training for each in network]
        [False, False]
        >>> [each.training for each in network]
        [True, False]
    """
    modes = {module: module.training for module in network.modules()}
    for module in modes:
        module.training = False
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
