"""What Weights & Biases keeps of a run beside its curves: its split, tables, and checkpoint."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities import rank_zero_warn

# The most that a table of W&B may have.
_ROWS = 200_000


class WandbRecord(Callback):
    """Gives W&B what makes runs comparable there; does nothing without its logger.

    - In the configuration `split_hash`, beside all that config.yaml has: `seed_everything`,
      `data.init_args.fold`, ...
    - After a test, or a validation on its own, the scores of each query, class and group as tables:
      `scores/test`, `scores/test-classes`, ...
    - After a fit an artifact `run-<id>` of the type `model`, with `best.ckpt` (`last.ckpt` where
      nothing was validated), `config.yaml`, `run.json` and `split.json`, the indices of each split.
    """

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say what was split how."""
        self._configure(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say what was split how."""
        if trainer.state.fn == "validate":
            self._configure(trainer)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say what was split how."""
        self._configure(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the tables of a validation on its own."""
        if trainer.state.fn == "validate":
            self._log_tables(trainer, "val")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the tables of a test."""
        self._log_tables(trainer, "test")

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Log the artifact of a fit that ended well."""
        if stage == "fit" and not trainer.interrupted:
            for logger in _loggers(trainer):
                _log_artifact(trainer, logger)

    def _configure(self, trainer: Trainer) -> None:
        data: Any = getattr(trainer, "datamodule", None)
        known = {"split_hash": getattr(data, "split_hash", None)}
        for logger in _loggers(trainer):
            logger.experiment.config.update(known, allow_val_change=True)

    def _log_tables(self, trainer: Trainer, stage: str) -> None:
        for logger in _loggers(trainer):
            for file in sorted((Path(trainer.default_root_dir) / "scores").glob("*.parquet")):
                if file.stem.split("-")[0] == stage:
                    _log_table(logger, file)


def _loggers(trainer: Trainer) -> list[WandbLogger]:
    if not trainer.is_global_zero or getattr(trainer, "fast_dev_run", False):
        return []
    return [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]


def _log_table(logger: WandbLogger, file: Path) -> None:
    from pyarrow import parquet

    rows = parquet.read_metadata(file).num_rows
    if rows > _ROWS:
        rank_zero_warn(f"{file} has {rows:,} rows, and a table of W&B {_ROWS:,}: it stays a file")
        return
    table = parquet.read_table(file)
    data = [list(row) for row in zip(*table.to_pydict().values(), strict=True)]
    logger.log_table(f"scores/{file.stem}", columns=table.column_names, data=data)


def _log_artifact(trainer: Trainer, logger: WandbLogger) -> None:
    import wandb

    run = Path(trainer.default_root_dir)
    data: Any = getattr(trainer, "datamodule", None)
    checkpoints = [run / "checkpoints" / f"{name}.ckpt" for name in ("best", "last")]
    artifact = wandb.Artifact(
        f"run-{logger.version}",
        "model",
        metadata={"run": run.name, "split_hash": getattr(data, "split_hash", None)},
    )
    there = [file for file in checkpoints if file.exists()][:1]
    for file in [*there, run / "config.yaml", run / "run.json"]:
        artifact.add_file(str(file))
    with artifact.new_file("split.json", mode="w") as split:
        json.dump(_indices(data), split)
    logger.experiment.log_artifact(artifact)


def _indices(data: Any) -> dict[str, Any]:
    """The indices of each split; of queries and gallery where these are apart."""
    splits = {name: getattr(data, name, None) for name in ("train", "val", "test")}
    return {name: _indices_of(split) for name, split in splits.items() if split is not None}


def _indices_of(split: Any) -> Any:
    if isinstance(split, Sequence) and not hasattr(split, "indices"):
        return [_indices_of(side) for side in split]
    indices = getattr(split, "indices", None)
    return None if indices is None else [int(index) for index in indices]
