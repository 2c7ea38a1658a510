"""What Lightning leaves out of a checkpoint, so that a run goes on as if it had never stopped."""

import random
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities import rank_zero_warn

from ranklight.datamodules import Batch
from ranklight.kernels.distributed import all_gather_object
from ranklight.running.exponential_moving_average import (
    TRAINING_WEIGHTS,
    ExponentialMovingAverage,
)
from ranklight.running.metrics_file import MetricsFile


class ExactResume(Callback):
    """Makes every checkpoint one from which the run goes on bit for bit (on a CPU).

    Adds three things to what Lightning saves.

    - The position in the run, in the forms that Lightning continues from exactly: after a step, its
      validation and its logging; or after an epoch. As it is, an epoch's end goes wrong where
      `max_steps` rules, and a batch that was drawn but not used yet is lost.
    - The random states of every rank. Restored on as many ranks only.
    - How many rows `metrics.csv` had. Later ones are dropped, for they will be logged again.
    """

    def __init__(self) -> None:
        self._random_states: list[dict[str, Any]] | None = None
        self._first_batch = False

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add them."""
        _put_between_steps(checkpoint["loops"]["fit_loop"], trainer.num_training_batches)
        checkpoint["random_states"] = all_gather_object(_random_state())
        checkpoint["metrics_rows"] = [len(file.rows()) for file in _metrics_files(trainer)]

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Forget what was logged after the checkpoint; keep the random states for later.

        Raises:
            ValueError: The checkpoint holds averaged weights, and nobody takes them apart.
        """
        if trainer.state.fn != TrainerFn.FITTING:
            return
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        averages = any(isinstance(each, ExponentialMovingAverage) for each in callbacks)
        if TRAINING_WEIGHTS in checkpoint and not averages:
            raise ValueError(
                "the checkpoint is of a run with averaged weights, and training goes on from those "
                "that it averaged: keep callbacks.average, or start a new run"
            )
        self._random_states = checkpoint.get("random_states")
        rows = checkpoint.get("metrics_rows", [])
        for file, count in zip(_metrics_files(trainer), rows, strict=False):
            file.truncate(count)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A run without a checkpoint starts afresh, and so does the epoch after a whole one."""
        self._first_batch = True
        if trainer.ckpt_path is None:
            for file in _metrics_files(trainer):
                file.truncate(0)
        progress = trainer.fit_loop.epoch_progress.state_dict()["current"]
        if progress["ready"] == progress["processed"]:
            trainer.fit_loop.epoch_loop.restarting = False

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Restore the random states where they were read: when the next batch is there."""
        if not self._first_batch:
            return
        self._first_batch = False
        # Lightning leaves out schedules on a metric at the end of an epoch that it restarts.
        trainer.fit_loop._restarting = False
        states, self._random_states = self._random_states, None
        if states is None:
            return
        if len(states) == trainer.world_size:
            _restore(states[trainer.global_rank])
        else:
            rank_zero_warn(
                f"the checkpoint was written by {len(states)} processes, now there are "
                f"{trainer.world_size}: batches and images go on as they were, but what a rank "
                "draws for itself (dropout, sampled negatives) starts again from the seed"
            )


def _put_between_steps(loops: dict[str, Any], batches_per_epoch: int | float) -> None:
    """Rewrite Lightning's progress as if it had been saved right after a step, or after an epoch.

    Lightning counts epochs and batches as ready (asked for), started, processed and completed (its
    hooks are through), and tells from which of the four differ where to go on.
    """
    epochs, batches = loops["epoch_progress"], loops["epoch_loop.batch_progress"]
    done, fetched = batches["current"]["completed"], batches["current"]["ready"]
    epoch_over = epochs["current"]["processed"] == epochs["current"]["ready"]
    fetched_ahead = fetched > done and batches["current"]["started"] == done
    if fetched_ahead:
        # The batch that was fetched but not used goes back to the loader.
        for loader in loops["state_dict"].get("combined_loader", []):
            loader["position"] -= fetched - done
    if epoch_over and not 0 < done < batches_per_epoch:
        # In the hooks of a whole epoch's end: they are not run again, the next epoch begins.
        for counts in (epochs["total"], epochs["current"]):
            counts["completed"] = counts["processed"]
    elif fetched_ahead and done == 0:
        # Before an epoch's first step: neither the epoch nor its first batch was asked for yet.
        for counts in (epochs["total"], epochs["current"]):
            counts["ready"] = counts["started"] = counts["completed"]
        for counts in (batches["total"], batches["current"]):
            counts["ready"] = counts["completed"]
    elif epoch_over or fetched_ahead:
        # Within an epoch, before the next step or where max_steps ends it: the form that Lightning
        # writes in on_train_batch_end. It completes the batch and counts its step on loading.
        for counts in (epochs["total"], epochs["current"]):
            counts["processed"] = counts["completed"] = counts["ready"] - 1
        for counts in (batches["total"], batches["current"]):
            counts["ready"] = counts["started"] = counts["processed"] = counts["completed"]
            counts["completed"] -= 1
        loops["epoch_loop.state_dict"]["_batches_that_stepped"] -= 1
    else:
        # A validation saves `best` within a step, which is a form that Lightning goes on from.
        return
    # With it Lightning would end the epoch on loading, without the hooks of its end.
    batches["is_last_batch"] = False


def _metrics_files(trainer: Trainer) -> list[MetricsFile]:
    return [logger for logger in trainer.loggers if isinstance(logger, MetricsFile)]


def _random_state() -> dict[str, Any]:
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)  # noqa: NPY002
    return {
        "python": random.getstate(),
        "numpy": (str(kind), torch.tensor(np.asarray(keys, np.int64)), position, has_gauss, gauss),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }


def _restore(state: dict[str, Any]) -> None:
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())
