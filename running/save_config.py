"""What a run was configured with, in its directory, its checkpoints and its trackers."""

from pathlib import Path
from typing import Any

import yaml
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.cli import SaveConfigCallback
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities import rank_zero_info

from ranklight.files.writing import replacing
from ranklight.running.run_directory import mark_latest

_OF_ONE_COMMAND = (
    "ckpt_path",
    "weights_only",
    "verbose",
    "return_predictions",
    "json",
    "config",
    "run",
    "runs",
    "allow_untrained",
    "zero_shot",
    "test_after_fit",
    "debug",
    "wandb",
    "trainer.default_root_dir",
    "best.dirpath",
    "last.dirpath",
)


class SaveConfig(SaveConfigCallback):
    """Saves the resolved configuration, and says what changed when a checkpoint is continued.

    The configuration on the command line wins over the checkpoint's, also for what PyTorch would
    restore from it without a word: the optimizer's learning rate and other hyperparameters. A
    learning rate that changed rescales the schedule.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "overwrite": True, "save_to_log_dir": False})
        # It was validated when it was parsed.
        dumped = self.parser.dump(self.config, skip_none=False, skip_validation=True)
        self.resolved: dict[str, Any] = yaml.safe_load(dumped)

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write config.yaml when a run is fitted or has none yet, and tell the trackers."""
        run = Path(trainer.default_root_dir)
        if stage == "fit":
            mark_latest(run)
        elif (run / self.config_filename).exists():
            return
        kept = yaml.safe_dump(without_what_belongs_to_one_command(self.resolved), sort_keys=False)
        header = "".join(f"# {line}\n" for line in self.parser.dump_header or [])
        with replacing(run / self.config_filename) as fresh:
            fresh.write_text(header + kept, encoding="utf-8")
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_hyperparams(self.resolved)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Save the configuration in the checkpoint."""
        checkpoint["config"] = self.resolved

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Print what changed since, and let changed optimizer settings win."""
        if trainer.state.fn != TrainerFn.FITTING:
            return
        then, now = _flat(checkpoint.get("config", {})), _flat(self.resolved)
        changed = {
            key: (then[key], now[key])
            for key in now
            if key in then and then[key] != now[key] and not key.startswith(_OF_ONE_COMMAND)
        }
        for key, (before, after) in changed.items():
            rank_zero_info(f"{key}: the checkpoint says {before}, this run {after}: {after} counts")
        _check_rates(checkpoint.get("config", {}), self.resolved)
        settings = "model.init_args.optimizer.init_args."
        for key, (before, after) in changed.items():
            if key.startswith("model.init_args.lr_scheduler."):
                raise ValueError(
                    f"{key} was {before} in the checkpoint and is {after} now, but a schedule that "
                    "goes on keeps its shape: leave it as it was, or start a new run"
                )
            if key.startswith(settings):
                _override(checkpoint, key.removeprefix(settings), before, after)


def without_what_belongs_to_one_command(configuration: dict[str, Any]) -> dict[str, Any]:
    """What the next command may take over; a seed of the data that followed the run's does again.

    Args:
        configuration: As config.yaml holds it; stays as it is.
    """
    kept = {key: value for key, value in configuration.items() if key not in _OF_ONE_COMMAND}
    for path in filter(lambda key: "." in key, _OF_ONE_COMMAND):
        group, key = path.split(".")
        if isinstance(part := kept.get(group), dict):
            kept[group] = {name: value for name, value in part.items() if name != key}
    data = kept.get("data")
    given: dict[str, Any] = data.get("init_args") or {} if isinstance(data, dict) else {}
    if given.get("seed") is not None and given["seed"] == kept.get("seed_everything"):
        kept["data"] = {**(data or {}), "init_args": {**given, "seed": None}}
    return kept


def _check_rates(then: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuse other parts and factors than those by which the optimizer's state is kept."""
    for key, by_default in (("rates", None), ("decay_norms_and_biases", True)):
        before, after = (
            tree.get("model", {}).get("init_args", {}).get(key, by_default) for tree in (then, now)
        )
        if then and before != after:
            raise ValueError(
                f"model.init_args.{key} was {before} in the checkpoint and is {after} now, but the "
                "optimizer goes on part by part: leave it as it was, or start a new run"
            )


def _override(checkpoint: dict[str, Any], name: str, before: Any, after: Any) -> None:
    for optimizer in checkpoint.get("optimizer_states", []):
        for group in optimizer["param_groups"]:
            if name == "weight_decay" and group.get("own_weight_decay"):
                continue
            if name != "lr":
                group[name] = after
                continue
            group["lr"] *= after / before
            if "initial_lr" in group:
                group["initial_lr"] *= after / before
    if name == "lr":
        for schedule in checkpoint.get("lr_schedulers", []):
            for rates in ("base_lrs", "_last_lr"):
                if rates in schedule:
                    schedule[rates] = [rate * after / before for rate in schedule[rates]]


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {prefix.removesuffix("."): tree}
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.")
    return flat
