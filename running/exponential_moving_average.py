"""An average of the weights along the way, which is what is validated, tested and kept."""

from collections.abc import Mapping
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities import rank_zero_info
from pytorch_lightning.utilities.types import STEP_OUTPUT
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

TRAINING_WEIGHTS = "training_weights"
"""In a checkpoint: the weights that training goes on with; its `state_dict` has the averages."""


class ExponentialMovingAverage(Callback):
    """A moving average of the weights, which is what is validated, tested and kept.

        average ← d · average + (1 − d) · weights,  d = min(decay, (1 + t) / (10 + t))

    after each step t = 0, 1, ... It begins as the weights do, with d small enough to forget them.
    It is over all parameters and statistics of batch norm in float; whatever else there is, a
    memory of embeddings among it, is that of training. Validations within `fit` look at the
    averages, training goes on with its own weights, and after `fit` the module holds the
    averages.

    **A checkpoint's `state_dict` holds the averages**, so testing, predicting and loading use
    them; beside it `training_weights` holds what training goes on with, and it goes on to the bit.
    A run that was not averaged may go on averaged; the other way is refused.

    Lightning's own `EMAWeightAveraging` copies the module before its classes and centers are known,
    overwrites training's weights with the averages before the last checkpoint is saved, and
    averages integers.

    Args:
        decay: Of 0..1: the average remembers about 1 / (1 − decay) steps. Larger is smoother, and
            later; 0.999 for some 10⁴ steps, 0.9999 for 10⁵ and more.

    Raises:
        ValueError: A decay outside of 0..1, or checkpoints of weights alone.
    """

    def __init__(self, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay must be at least 0 and below 1, got {decay}")
        self.decay = decay
        self._average: dict[str, Tensor] = {}
        self._averages_in_module = False
        self._seen_step = 0

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Give training its own weights back; the module was loaded with the averages."""
        if trainer.state.fn != TrainerFn.FITTING:
            return
        weights = checkpoint.get(TRAINING_WEIGHTS)
        if weights is None:
            rank_zero_info("the average of weights begins with those of the checkpoint")
            return
        self._average = {name: checkpoint["state_dict"][name].clone() for name in weights}
        _copy(weights, _tensors(pl_module))

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin with the weights that are there, on their device."""
        for saved in trainer.checkpoint_callbacks:
            if isinstance(saved, ModelCheckpoint) and saved.save_weights_only:
                raise ValueError(
                    "averaged weights need whole checkpoints: set save_weights_only to false, for "
                    "a checkpoint of weights alone would hold others than were validated"
                )
        weights = _averaged(pl_module)
        self._average = {
            name: self._average.get(name, weight).to(weight, copy=True)
            for name, weight in weights.items()
        }

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """What is loaded is in the average already."""
        self._seen_step = trainer.global_step

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: STEP_OUTPUT,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Take in the weights, if there was a step."""
        if trainer.global_step == self._seen_step:
            return
        before, self._seen_step = self._seen_step, trainer.global_step
        decay = min(self.decay, (1 + before) / (10 + before))
        tensors = _tensors(pl_module)
        weights = [tensors[name] for name in self._average]
        update: Any = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        update(list(self._average.values()), weights, 0)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The averages are validated."""
        self._swap(trainer, pl_module, True)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Training goes on with its own."""
        self._swap(trainer, pl_module, False)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Save both."""
        if not self._average:
            return
        weights = {name: checkpoint["state_dict"][name] for name in self._average}
        averages, training = self._average, weights
        if self._averages_in_module:
            averages, training = training, averages
        checkpoint["state_dict"] = {**checkpoint["state_dict"], **averages}
        checkpoint[TRAINING_WEIGHTS] = dict(training)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """What comes after, comes with the averages."""
        _copy(self._average, _tensors(pl_module))
        self._average = {}

    def _swap(self, trainer: Trainer, pl_module: LightningModule, to_averages: bool) -> None:
        if trainer.state.fn != TrainerFn.FITTING or to_averages == self._averages_in_module:
            return
        tensors = _tensors(pl_module)
        own = {name: tensors[name].clone() for name in self._average}
        _copy(self._average, tensors)
        self._average, self._averages_in_module = own, to_averages


def _tensors(module: LightningModule) -> dict[str, Tensor]:
    named = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {name: tensor.detach() for name, tensor in named.items()}


def _averaged(module: LightningModule) -> dict[str, Tensor]:
    """What is averaged: the floats of the state dict."""
    tensors = _tensors(module)
    return {
        name: tensors[name]
        for name in module.state_dict()
        if name in tensors and tensors[name].is_floating_point()
    }


@torch.no_grad()
def _copy(given: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> None:
    for name, values in given.items():
        tensors[name].copy_(values)
