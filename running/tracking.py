"""Weights & Biases, for those who want it."""

import os
import secrets
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from ranklight.metric_directions import direction_of

_STEP = "trainer/global_step"


class DirectedWandbLogger(WandbLogger):
    """Tells W&B which way each score gets better, when it is logged for the first time.

    Of what is logged in training the best value is in the summary, as `val/map@r.max` or
    `train/loss.min`, beside the last; of test there is one value, `test/map@r`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._known: set[str] = set()

    @rank_zero_only
    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        """Log as ever, after the directions of names that are new."""
        for name in sorted(set(metrics) - self._known):
            self._known.add(name)
            direction = direction_of(name)
            if direction is not None and not name.startswith("test/"):
                self.experiment.define_metric(
                    name, step_metric=_STEP, step_sync=True, summary=f"{direction},last"
                )
        super().log_metrics(metrics, step)


def wandb_logger(run: Path, experiment: str, stage: str) -> WandbLogger:
    """A logger whose W&B run is the run directory's: a resumed run goes on in the same one.

    Without an account (or with WANDB_MODE=offline) everything is written below the run directory,
    for `wandb sync` later. Only rank 0 talks to W&B.

    Args:
        run: The run directory; its file `wandb_id` keeps the identity of the W&B run.
        experiment: Group of the W&B run.
        stage: Its job type: fit, test, ...
    """
    # Here, since importing it takes a second and most runs do without.
    import wandb

    mode = os.environ.get("WANDB_MODE") or ("online" if wandb.login(prompt=False) else "offline")
    return DirectedWandbLogger(
        project=os.environ.get("WANDB_PROJECT", "ranklight"),
        name=f"{experiment}/{run.name}",
        id=_run_id(run),
        save_dir=run,
        mode=mode,
        group=experiment,
        job_type=stage,
        resume="allow",
    )


@rank_zero_only
def _run_id(run: Path) -> str:
    file = run / "wandb_id"
    if not file.exists():
        run.mkdir(parents=True, exist_ok=True)
        file.write_text(secrets.token_hex(8))
    return file.read_text()
