"""A loss that is not finite stops training, and the message names the batch."""

from collections import deque
from typing import Any, NamedTuple

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from ranklight.datamodules import Batch


class _Step(NamedTuple):
    finite: Tensor
    ready: torch.cuda.Event | None
    epoch: int
    position: int
    images: Tensor


class StopOnNonFiniteLoss(Callback):
    """Stops training when a loss is NaN or infinite, before a checkpoint can be written of it.

    Everything else that the training step returns is checked, too: a miner selects no pair whose
    similarity is NaN, so the loss of embeddings that are NaN is 0.

    On a GPU a step's loss is looked at when the next step has been queued, so nothing waits for it;
    all are looked at before a checkpoint is saved.
    """

    def __init__(self) -> None:
        self._unread: deque[_Step] = deque()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Remember this step's loss, look at the one before."""
        loss = outputs["loss"]
        ready = None
        finite = torch.stack([torch.isfinite(output).all() for output in outputs.values()]).all()
        if loss.is_cuda:
            finite = finite.to("cpu", non_blocking=True)
            ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
            ready.record()
        self._unread.append(_Step(finite, ready, trainer.current_epoch, batch_idx, batch.index))
        self._read(keep=1 if loss.is_cuda else 0)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """No checkpoint of weights that went wrong."""
        self._read(keep=0)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The last steps count, too."""
        self._read(keep=0)

    def _read(self, keep: int) -> None:
        while len(self._unread) > keep:
            step = self._unread.popleft()
            if step.ready is not None:
                step.ready.synchronize()
            if not bool(step.finite):
                images = ", ".join(str(image) for image in step.images[:8].tolist())
                raise FloatingPointError(
                    f"the loss or the output is not finite in epoch {step.epoch}, batch "
                    f"{step.position} (images {images}, ...). Training stops; the last checkpoint "
                    "is from before. Usual causes: a learning rate that is too large, NaN in "
                    "images or labels, float16"
                )
