"""How far the embeddings of the same images move while the encoder learns."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from ranklight.datamodules import Batch
from ranklight.models.evaluation_mode import in_evaluation_mode


class EmbeddingDrift(Callback):
    """Logs how far fixed images moved in the last so many training steps.

        train/drift@Δ = 1/n Σ_x ‖f_t(x) − f_{t−Δ}(x)‖²

    over the first images of validation, as validation embeds them; of unit vectors it is 0..4, and
    2 between vectors that have nothing in common. It says how old a row of a
    `pairs.CrossBatchMemory` may be. Where `train/memory_drift` compares images with the copies that
    happen to be there, whose ages differ, here the age is given.

    Wang et al.: Cross-Batch Memory for Embedding Learning, CVPR 2020, arXiv 1912.06798, figure 3.

    Only fixed images are embedded, so nothing of what is learnt changes. On several ranks each
    embeds the first of its share. What was embedded is in the checkpoint, and taken up from there
    by the same number of images.

    Args:
        lags: Every Δ, in steps.
        every: Steps from one measurement to the next, of which each lag is a multiple; the log has
            it at each `trainer.log_every_n_steps`, so give that a multiple of it.
        images: At most so many, of one batch of validation; more take longer.

    Raises:
        ValueError: A lag is no multiple of `every`, or a number is under 1; at the start of
            training: the data module has no validation images.
    """

    def __init__(
        self, lags: Sequence[int] = (10, 100, 1000), every: int = 10, images: int = 64
    ) -> None:
        if min(every, images, *lags) < 1 or any(lag % every for lag in lags):
            raise ValueError(
                f"lags must be multiples of every, and all at least 1; got lags={list(lags)}, "
                f"every={every}, images={images}"
            )
        self.lags = tuple(lags)
        self.every = every
        self.images = images
        self._past: dict[int, Float[Tensor, "n d"]] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Choose the images, and embed them before the first step."""
        data: Any = getattr(trainer, "datamodule", None)
        if data is None:
            raise ValueError("EmbeddingDrift needs a data module with validation images")
        # A loader draws a seed, which training must not miss.
        with torch.random.fork_rng(devices=[]):
            loaders = data.val_dataloader()
            loader = loaders[0] if isinstance(loaders, list) else loaders
            self._batch: Batch = trainer.strategy.batch_to_device(next(iter(loader)))
        first = self._embedded(trainer, pl_module)
        self._past = {step: of for step, of in self._past.items() if of.shape == first.shape}
        self._past.setdefault(trainer.global_step, first)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Compare with what was embedded a lag ago."""
        if trainer.global_step % self.every == 0 and trainer.global_step not in self._past:
            self._measure(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        """What was embedded, by step."""
        return {"past": {step: rows.cpu() for step, rows in self._past.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self._past = dict(state_dict["past"])

    def _measure(self, trainer: Trainer, pl_module: LightningModule) -> None:
        step = trainer.global_step
        now = self._embedded(trainer, pl_module)
        for lag in self.lags:
            if step - lag in self._past:
                moved = now - self._past[step - lag].to(now.device)
                drift = moved.square().sum(1).mean()
                pl_module.log(f"train/drift@{lag}", drift, sync_dist=True)
        self._past[step] = now
        self._past.pop(step - max(self.lags), None)

    @torch.no_grad()
    def _embedded(self, trainer: Trainer, module: LightningModule) -> Float[Tensor, "n d"]:
        with in_evaluation_mode(module), trainer.precision_plugin.forward_context():
            rows: Tensor = module.embed(self._batch.images[: self.images])  # type: ignore[operator]
        # A copy: what a module gives may be its own weights.
        return rows.float().clone()
