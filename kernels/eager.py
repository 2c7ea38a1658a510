"""When the values of a tensor may be looked at."""

import torch
from torch import Tensor, nn


def eager_on_cpu(tensor: Tensor) -> bool:
    """Whether shapes may depend on data: nothing waits for a device, and nothing is compiled."""
    return (
        not torch.compiler.is_compiling()
        and type(tensor) in (Tensor, nn.Parameter)
        and tensor.device.type == "cpu"
    )
