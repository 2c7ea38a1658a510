"""The network in another memory layout, or compiled."""

from typing import cast

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_info
from torch import nn


class CompileNetwork(Callback):
    """Prepares the network, not the loss, for speed. Checkpoints stay the same and interchange.

    Both change the order in which numbers are summed, so a run is equal to the last bit only to
    runs with the same settings.

    Args:
        channels_last: Convolution weights in NHWC, the layout of tensor cores; for bfloat16 on a
            GPU.
        compiled_by: The backend of `torch.compile`, `inductor` being torch's own, which needs a C++
            compiler; the first batch then takes a minute or more, and each other size of batch.
    """

    def __init__(self, channels_last: bool = False, compiled_by: str | None = None) -> None:
        if compiled_by is not None and compiled_by not in torch.compiler.list_backends(None):
            known = ", ".join(torch.compiler.list_backends(None))
            raise ValueError(f"torch.compile has no backend {compiled_by!r}; it has {known}")
        self.channels_last = channels_last
        self.compiled_by = compiled_by

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Before anything runs, once."""
        name = "encoder" if hasattr(pl_module, "encoder") else "model"
        network = cast(nn.Module, getattr(pl_module, name))
        if self.channels_last:
            network.to(memory_format=torch.channels_last)
        if self.compiled_by is not None and network._compiled_call_impl is None:
            network.compile(backend=self.compiled_by)
            rank_zero_info(
                f"the network is compiled by {self.compiled_by}: the first step takes long"
            )
