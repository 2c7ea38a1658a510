"""LightningCLI with run directories, and without ways to fool oneself."""

import logging
import math
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace
from pytorch_lightning import Trainer
from pytorch_lightning.__version__ import version as lightning_version
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import Logger
from pytorch_lightning.loggers.logger import DummyLogger
from pytorch_lightning.utilities import rank_zero_warn

from ranklight import __version__ as ranklight_version
from ranklight.callbacks.evaluation.baselines import Baselines
from ranklight.callbacks.evaluation.label_decision import LabelDecision
from ranklight.commands.config_file import ConfigFile
from ranklight.commands.errors import Command
from ranklight.commands.every_run import callbacks_of_every_run
from ranklight.commands.old_names import check_names
from ranklight.commands.options import add_options
from ranklight.commands.parser import Parser
from ranklight.commands.trainer import RanklightTrainer
from ranklight.commands.which_run import which_run
from ranklight.running.best_checkpoint import BestCheckpoint
from ranklight.running.checkpoint_io import AtomicCheckpointIO
from ranklight.running.experiment_name import experiment_name
from ranklight.running.last_checkpoint import LastCheckpoint
from ranklight.running.metrics_file import MetricsFile
from ranklight.running.nulls import read_nulls
from ranklight.running.results_table import ResultsTable
from ranklight.running.run_directory import release
from ranklight.running.save_config import SaveConfig
from ranklight.running.tracking import wandb_logger

_PROCESSES_A_CORE = 4
_SCORING = ("test", "validate", "predict")
# What doctor looks at is the same on any device, and it writes nothing.
_ON_ONE_CPU = {
    "accelerator": "cpu",
    "devices": 1,
    "num_nodes": 1,
    "strategy": "auto",
    "precision": "32-true",
    "plugins": None,
    "sync_batchnorm": False,
    "num_sanity_val_steps": 1,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


class RanklightCLI(LightningCLI):
    """Adds to Lightning's commands what a run needs to be found, compared and trusted."""

    run: Path

    def __init__(self, command: Command, **kwargs: Any) -> None:
        self.command = command
        usage = "ranklight {} -c FILE.yaml [--key value ...]; all keys: --help"
        super().__init__(
            trainer_class=RanklightTrainer,
            parser_class=Parser,
            save_config_callback=SaveConfig,
            parser_kwargs={
                "prog": "ranklight",
                **{name: {"usage": usage.format(name)} for name in self.subcommands()},
            },
            **kwargs,
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """The command that was called, of Lightning's and the trainer's own two.

        The others' parsers, which each take a third of a second to build, are left out.
        """
        own = {name: {"model", "datamodule"} for name in ("doctor", "decide")}
        every = {**LightningCLI.subcommands(), **own}
        return {name: skipped for name, skipped in every.items() if name in sys.argv[1:2]}

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """Lightning's, but for what `-c` finds and refuses."""
        versions = [f"ranklight=={ranklight_version}", f"pytorch_lightning=={lightning_version}"]
        parser = self.parser_class(**{"dump_header": versions, **kwargs})
        parser.add_argument(
            "-c",
            "--config",
            action=ConfigFile,
            help="A YAML file, or the name of a recipe (`ranklight recipes`); the later wins.",
        )
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Options beside Lightning's own."""
        add_options(parser)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Lightning's, after class paths of before are refused."""
        check_names(sys.argv[1:], "the command line")
        super().parse_arguments(parser, args)
        read_nulls(self.config.get(self.config.subcommand))

    def _parse_ckpt_path(self) -> None:
        """Nothing: our checkpoints hold no hyperparameters, and reading one takes time."""

    def before_instantiate_classes(self) -> None:
        """Find the run and the checkpoint; refuse what would give wrong numbers."""
        config = self.config[self.subcommand]
        self.command.debug = config.debug
        _refuse_what_misleads(config, str(self.subcommand))
        config.experiment = config.experiment or _experiment_name(config)
        data = config.get("data.init_args", {})
        if "seed" in data and data["seed"] is None:
            data["seed"] = int(config.seed_everything)
        if self.subcommand == "doctor":
            for key, value in _ON_ONE_CPU.items():
                config.trainer[key] = value
            config.network.compiled_by = None
            return
        run, config.ckpt_path = which_run(config, str(self.subcommand))
        self.run = self.command.run = run
        _check_checkpoint(config.ckpt_path)
        config.trainer.default_root_dir = str(self.run)
        config.best.dirpath = config.last.dirpath = str(self.run / "checkpoints")

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """The trainer, with the run's loggers and guards."""
        config = self.config_init[self.subcommand]
        given = config.trainer.callbacks or []
        watching = [callback for callback in config.callbacks.values() if callback is not None]
        callbacks = [*watching, *(given if isinstance(given, list) else [given])]
        if self.subcommand == "doctor":
            self.save_config_callback = None
            return super().instantiate_trainer(callbacks=callbacks, logger=DummyLogger())
        callbacks += callbacks_of_every_run(self.command, config, callbacks)
        if self.subcommand in ("test", "validate") and self.config[self.subcommand].verbose:
            callbacks.append(ResultsTable())
            self.config_init[self.subcommand].verbose = False
        if config.trainer.logger is not False:
            kwargs["logger"] = self._loggers(config)
        plugins = config.trainer.plugins or []
        kwargs["plugins"] = [
            *(plugins if isinstance(plugins, list) else [plugins]),
            AtomicCheckpointIO(),
        ]
        return super().instantiate_trainer(callbacks=callbacks, **kwargs)

    def _loggers(self, config: Namespace) -> list[Logger]:
        given = config.trainer.logger
        others = [] if given in (None, True) else given if isinstance(given, list) else [given]
        if config.wandb:
            others = [*others, wandb_logger(self.run, config.experiment, str(self.subcommand))]
        return [MetricsFile(self.run), *others]

    def after_fit(self) -> None:
        """Test the best checkpoint, if asked to."""
        config = self.config[self.subcommand]
        if not config.test_after_fit or config.trainer.fast_dev_run:
            return
        best, last = None, None
        for callback in self.trainer.checkpoint_callbacks:
            if isinstance(callback, LastCheckpoint):
                last = callback.path(self.trainer)
            elif isinstance(callback, BestCheckpoint):
                best = callback.path()
        if best is None:
            rank_zero_warn("nothing was validated, so no checkpoint is the best: testing the last")
        if not self._has_own_table():
            self.trainer.callbacks.append(ResultsTable())  # type: ignore[attr-defined]
        self.trainer.test(
            self.model, datamodule=self.datamodule, ckpt_path=str(best or last), verbose=False
        )

    def _has_own_table(self) -> bool:
        callbacks: list[Callback] = getattr(self.trainer, "callbacks", [])
        return any(isinstance(callback, Baselines | LabelDecision) for callback in callbacks)


def main(arguments: Sequence[str], command: Command) -> None:
    """Run one of Lightning's commands, or `decide`; LightningCLI reads sys.argv by itself."""
    _leave_out_what_no_user_can_act_on()
    try:
        RanklightCLI(
            command=command,
            seed_everything_default=0,
            trainer_defaults={"use_distributed_sampler": False},
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
        )
    finally:
        if command.run is not None:
            release(command.run)


def _leave_out_what_no_user_can_act_on() -> None:
    warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated")
    warnings.filterwarnings("ignore", message=".*does not have many workers")
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
    # Batch norm is frozen on purpose; labels are checked before they are on a device.
    warnings.filterwarnings("ignore", message="Found .* in eval mode at the start of training")
    warnings.filterwarnings("ignore", message="You have overridden `on_before_batch_transfer`")
    _silence("utilities.rank_zero", "litlogger")
    _silence("utilities.rank_zero", "LightningModule.configure_callbacks")
    _silence("trainer.connectors.checkpoint_connector", "`weights_only` was not set")


def _silence(module: str, words: str) -> None:
    logger = logging.getLogger(f"pytorch_lightning.{module}")
    logger.addFilter(lambda record: words not in record.getMessage())


def _check_checkpoint(path: str | None) -> None:
    """Refuse one whose configuration cannot be built any more; its weights are not read."""
    if path is not None:
        saved = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
        check_names(saved.get("config"), f"the checkpoint {path}")


def _experiment_name(config: Namespace) -> str:
    return experiment_name([Path(str(file)) for file in config.config or []])


def _refuse_what_misleads(config: Namespace, command: str) -> None:
    if config.get("data") is None:
        raise ValueError(f"{command} needs a data module: the configuration has no data")
    if config.trainer.use_distributed_sampler:
        raise ValueError(
            "trainer.use_distributed_sampler must be false: the data modules share out every "
            "batch among the ranks themselves, and Lightning's sampler would break P x K "
            "batches and count images twice in evaluation"
        )
    if config.zero_shot and (config.get("ckpt_path") or command not in _SCORING):
        raise ValueError(
            "zero_shot scores a pretrained trunk as it is, in test, validate and predict: it goes "
            "with no training and no checkpoint"
        )
    _check_trainer(config.trainer)
    for key in ("trainer.default_root_dir", "best.dirpath", "last.dirpath"):
        if config.get(key) is not None:
            raise ValueError(f"{key} is in the run's directory: give --runs and --run, not {key}")
    experiment = Path(config.experiment or "unnamed")
    if experiment.is_absolute() or ".." in experiment.parts:
        raise ValueError(f"--experiment must be a path below --runs, got {experiment}")


def _check_processes(trainer: Namespace) -> None:
    """On a CPU every device is a process; a few a core are fine, to see what ranks do."""
    on_cpu = trainer.accelerator == "cpu" or (
        trainer.accelerator == "auto" and not torch.accelerator.is_available()
    )
    written, cores = str(trainer.devices), os.cpu_count() or 1
    if not on_cpu or not written.isdecimal():
        return
    if int(written) > _PROCESSES_A_CORE * cores:
        raise ValueError(
            f"trainer.devices are processes where there is no GPU, at most {_PROCESSES_A_CORE} a "
            f"core, and this machine has {cores} cores; got {written}: give --trainer.devices "
            f"{cores}"
        )


def _check_trainer(trainer: Namespace) -> None:
    """Refuse numbers that Lightning divides by, starts processes for, or takes for others."""
    _check_processes(trainer)
    for key in ("accumulate_grad_batches", "log_every_n_steps", "check_val_every_n_epoch"):
        count = trainer[key]
        if count is not None and count < 1:
            raise ValueError(f"trainer.{key} must be 1 or more, got {count}")
    interval = trainer.val_check_interval
    if isinstance(interval, int | float) and interval <= 0:
        raise ValueError(f"trainer.val_check_interval must be above 0, got {interval}")
    clip = trainer.gradient_clip_val
    if clip is not None and not 0 <= clip < math.inf:
        raise ValueError(f"trainer.gradient_clip_val must be 0 (off) or more, got {clip}")
