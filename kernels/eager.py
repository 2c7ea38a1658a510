"""When the values of a tensor may be looked at, and how autocast is kept out."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

_PLAIN = (Tensor, nn.Parameter)
_stands_for_many = torch._C._functorch.is_functorch_wrapped_tensor


def eager_on_cpu(tensor: Tensor) -> bool:
    """Whether shapes may depend on data: nothing waits for a device, and nothing is compiled."""
    return tensor.device.type == "cpu" and holds_values(tensor)


def holds_values(tensor: Tensor) -> bool:
    """Whether its values can be read, be it after a wait for its device.

    Not while a graph is compiled, nor under `torch.func.vmap`, whose tensors stand for many.
    """
    return (
        not torch.compiler.is_compiling()
        and type(tensor) in _PLAIN
        and tensor.device.type != "meta"
        and not _stands_for_many(tensor)
    )


def without_autocast(tensor: Tensor) -> AbstractContextManager[object]:
    """Full precision for what is computed of a tensor, also where the caller has autocast on."""
    kind = tensor.device.type
    # Nothing where it is off: an exported graph then has no region of its own for it.
    on = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    return torch.autocast(kind, enabled=False) if on else nullcontext()
