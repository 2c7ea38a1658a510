"""`best.ckpt`: the checkpoint of the best validation."""

import os
from pathlib import Path
from typing import Any, Literal

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor

from ranklight.metric_directions import direction_of


class BestCheckpoint(ModelCheckpoint):
    """Keeps the checkpoints of the best validations; the best of all is always `best.ckpt`.

    Unlike `ModelCheckpoint` it knows in which direction a metric of ours gets better, and it ends
    the run at a score that is NaN, which could be neither better nor worse than any other.

    Args:
        dirpath: Directory of the files; the run's `checkpoints` on the command line.
        monitor: The logged score that decides; None: there is no best checkpoint.
        mode: Whether the smallest (min) or the largest (max) is best; None: as the metric's name
            has it (`label_distance`, `loss`, ... fall; `recall`, `map`, ... rise).
        save_top_k: How many to keep; -1: all, 0: none. With more than one the others are
            `step-<step>.ckpt`.
        save_weights_only: Without what a run needs to go on from there.
        verbose: Say it whenever one is saved.

    Raises:
        ValueError: The direction is not known, or is not the one given.
    """

    def __init__(
        self,
        dirpath: str | None = None,
        monitor: str | None = "val/recall@1",
        mode: Literal["min", "max"] | None = None,
        save_top_k: int = 1,
        save_weights_only: bool = False,
        verbose: bool = False,
    ) -> None:
        known = None if monitor is None else direction_of(monitor)
        if monitor is not None and known is None and mode is None:
            raise ValueError(
                f"whether {monitor} is best when it is large or small is not known: give "
                "--best.mode max or min"
            )
        if known is not None and mode not in (None, known):
            raise ValueError(f"best.mode of {monitor} must be {known}, got {mode}")
        super().__init__(
            dirpath=dirpath,
            filename="best" if save_top_k == 1 else "step-{step}",
            monitor=monitor,
            mode=mode or known or "max",
            save_top_k=0 if monitor is None else save_top_k,
            save_weights_only=save_weights_only,
            verbose=verbose,
            auto_insert_metric_name=False,
            enable_version_counter=False,
        )

    def path(self) -> Path | None:
        """Where the best of all is; None before anything was validated."""
        return Path(self.best_model_path).with_name("best.ckpt") if self.best_model_path else None

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the best so far; that of another run is none of this run's."""
        here = Path(str(self.dirpath))

        def moved(path: str) -> str:
            return str(here / Path(path).name) if path else ""

        best = moved(state_dict["best_model_path"])
        if not Path(best).is_file():
            return
        super().load_state_dict(
            {
                **state_dict,
                "dirpath": self.dirpath,
                "best_model_path": best,
                "kth_best_model_path": moved(state_dict["kth_best_model_path"]),
                "best_k_models": {
                    moved(path): score for path, score in state_dict["best_k_models"].items()
                },
            }
        )

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save if the score is among the best."""
        super().on_validation_end(trainer, pl_module)
        self._link_best(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save here where validation is at the end of every epoch."""
        super().on_train_epoch_end(trainer, pl_module)
        self._link_best(trainer)

    def _save_topk_checkpoint(
        self, trainer: Trainer, monitor_candidates: dict[str, Tensor]
    ) -> None:
        if self.monitor is None:
            return
        score: Any = monitor_candidates.get(self.monitor)
        if score is None:
            if not trainer.fit_loop.epoch_loop.val_loop._has_run:
                return  # It ends before it was validated: nothing is the best yet.
            there = ", ".join(sorted(name for name in monitor_candidates if "/" in name))
            raise ValueError(
                f"best.monitor needs a score that is logged, got {self.monitor}; there are {there}"
            )
        if score.isnan():
            raise ValueError(
                f"{self.monitor} is NaN after step {trainer.global_step}, so no checkpoint can be "
                "the best: training stops. Usual causes: no image of the validation split has "
                "another of its class there, or embeddings that are NaN"
            )
        super()._save_topk_checkpoint(trainer, monitor_candidates)

    def _link_best(self, trainer: Trainer) -> None:
        best = self.path()
        if best is None or not trainer.is_global_zero or best == Path(self.best_model_path):
            return
        if not best.exists() or not best.samefile(self.best_model_path):
            fresh = best.with_suffix(".part")
            fresh.unlink(missing_ok=True)
            os.link(self.best_model_path, fresh)
            fresh.replace(best)
