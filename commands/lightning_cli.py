"""LightningCLI with run directories, and without ways to fool oneself."""

import logging
import math
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.__version__ import version as lightning_version
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.callbacks import ProgressBar as AnyProgressBar
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import Logger
from pytorch_lightning.loggers.logger import DummyLogger
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn

from ranklight import __version__ as ranklight_version
from ranklight.callbacks.evaluation.baselines import Baselines
from ranklight.callbacks.evaluation.label_decision import LabelDecision
from ranklight.callbacks.pictures.embedding_map import EmbeddingMap
from ranklight.callbacks.pictures.gallery import Gallery
from ranklight.callbacks.pictures.training_curves import TrainingCurves
from ranklight.callbacks.pictures.verification_histograms import VerificationHistograms
from ranklight.callbacks.sampler_statistics import SamplerStatistics
from ranklight.commands.config_file import ConfigFile
from ranklight.commands.errors import Command
from ranklight.commands.old_names import check_names
from ranklight.commands.parser import Parser
from ranklight.commands.trainer import RanklightTrainer
from ranklight.running.batch_norm import WarnOfLocalBatchNorm
from ranklight.running.best_checkpoint import BestCheckpoint
from ranklight.running.checkpoint_io import AtomicCheckpointIO, newest_whole
from ranklight.running.checks_before_training import CheckBeforeTraining
from ranklight.running.compile_network import CompileNetwork
from ranklight.running.data_wait import DataWait
from ranklight.running.experiment_name import experiment_name
from ranklight.running.exponential_moving_average import ExponentialMovingAverage
from ranklight.running.last_checkpoint import LastCheckpoint
from ranklight.running.metrics_file import MetricsFile
from ranklight.running.non_finite import StopOnNonFiniteLoss
from ranklight.running.nulls import read_nulls
from ranklight.running.plain_progress import PlainProgress
from ranklight.running.predictions import SavePredictions
from ranklight.running.progress_bar import ProgressBar
from ranklight.running.provenance import Provenance
from ranklight.running.results_table import ResultsTable
from ranklight.running.resume import ExactResume
from ranklight.running.run_directory import (
    claim,
    find_checkpoint,
    latest_run,
    new_run,
    release,
    run_of_checkpoint,
    run_of_config,
)
from ranklight.running.save_config import SaveConfig
from ranklight.running.seen_data import SeenData
from ranklight.running.termination import SaveOnTermination
from ranklight.running.tracking import wandb_logger
from ranklight.running.wandb_record import WandbRecord
from ranklight.running.what_learns import WhatLearns
from ranklight.running.zero_shot import ZeroShot

_WATCHING = {
    "evaluation": Callback,
    "statistics": SamplerStatistics,
    "curves": TrainingCurves,
    "gallery": Gallery,
    "map": EmbeddingMap,
    "histograms": VerificationHistograms,
    "baselines": Baselines,
    "average": ExponentialMovingAverage,
}
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
        parser.add_argument(
            "--runs",
            type=str | None,
            default=None,
            help="Directory of all runs (default: runs; with a run's config.yaml: where it is).",
        )
        parser.add_argument(
            "--experiment",
            type=str | None,
            default=None,
            help="Name of the experiment (default: path below experiments/ of the last YAML that "
            "is not a trainer's).",
        )
        parser.add_argument(
            "--run",
            type=str | None,
            default=None,
            help="Name of the run (default: the time; for a checkpoint 'best' or 'last': the run "
            "of the config.yaml, or latest). With the checkpoint file of another run: a new run.",
        )
        parser.add_argument("--wandb", type=bool, default=False, help="Log to W&B as well.")
        parser.add_argument(
            "--allow_untrained",
            type=bool,
            default=False,
            help="Let test, validate and predict score weights that no checkpoint gave.",
        )
        parser.add_argument(
            "--zero_shot",
            type=bool,
            default=False,
            help="Let test, validate and predict score a pretrained trunk as it was published; "
            "what would need training is refused, and run.json says so.",
        )
        parser.add_argument(
            "--test_after_fit",
            type=bool,
            default=False,
            help="After fit, test the best checkpoint.",
        )
        parser.add_argument(
            "--check_images",
            type=bool,
            default=True,
            help="Before the first step of fit, look at the headers of all image files.",
        )
        parser.add_argument(
            "--debug", type=bool, default=False, help="Show the traceback of every error."
        )
        for name, kind in _WATCHING.items():
            parser.add_argument(
                f"--callbacks.{name}",
                type=kind | None,
                default=None,
                help="Watches the run, beside trainer.callbacks; null drops what a base has here.",
            )
        parser.add_lightning_class_args(BestCheckpoint, "best")
        parser.add_lightning_class_args(LastCheckpoint, "last")
        parser.add_lightning_class_args(CompileNetwork, "network")

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
        self.run = self.command.run = self._find_run(config)
        _check_checkpoint(config.ckpt_path)
        config.trainer.default_root_dir = str(self.run)
        config.best.dirpath = config.last.dirpath = str(self.run / "checkpoints")

    def _find_run(self, config: Namespace) -> Path:
        """The run that a command belongs to.

        `best` and `last` are those of `--run`, else of the run whose config.yaml is given, else of
        the latest. A checkpoint's file belongs to the run that it lies in; with another `--run`, a
        new run of this name starts from it, for trying two continuations of one beginning is what
        such a command can only mean.
        """
        given = [run_of_config(Path(str(file))) for file in config.config or []]
        named = next((run for run in reversed(given) if run is not None), None)
        root = Path(config.runs or _root_of(named, config.experiment))
        checkpoint = config.ckpt_path
        if checkpoint is None:
            if self.subcommand != "fit" and not (config.allow_untrained or config.zero_shot):
                raise ValueError(
                    f"{self.subcommand} needs trained weights: --ckpt_path best, last or a file "
                    "(or --zero_shot true to score a pretrained trunk as it is, --allow_untrained "
                    "true to score weights that never learnt)"
                )
            return new_run(root, config.experiment, config.run)
        if checkpoint in ("best", "last"):
            if config.run or named is None:
                named = _run_by_name(root, config.experiment, config.run)
            config.ckpt_path = str(newest_whole(find_checkpoint(checkpoint, named)))
            claim(named)
            return named
        return self._run_of_file(config, root)

    def _run_of_file(self, config: Namespace, root: Path) -> Path:
        checkpoint = Path(config.ckpt_path)
        if not checkpoint.is_file():
            raise FileNotFoundError(f"there is no checkpoint {checkpoint}")
        config.ckpt_path = str(newest_whole(checkpoint))
        owner = run_of_checkpoint(checkpoint)
        asked = root / config.experiment / config.run if config.run else owner
        if owner is not None and asked is not None and owner.resolve() == asked.resolve():
            claim(owner)
            return owner
        run = new_run(root, config.experiment, config.run)
        rank_zero_info(f"the new run {run} starts from {checkpoint}")
        return run

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """The trainer, with the run's loggers and guards."""
        config = self.config_init[self.subcommand]
        given = config.trainer.callbacks or []
        watching = [callback for callback in config.callbacks.values() if callback is not None]
        callbacks = [*watching, *(given if isinstance(given, list) else [given])]
        if self.subcommand == "doctor":
            self.save_config_callback = None
            return super().instantiate_trainer(callbacks=callbacks, logger=DummyLogger())
        callbacks.append(WhatLearns())
        if config.zero_shot:
            callbacks.append(ZeroShot())
        if config.trainer.enable_progress_bar is not False and not any(
            isinstance(callback, AnyProgressBar) for callback in callbacks
        ):
            callbacks.append(ProgressBar() if sys.stdout.isatty() else PlainProgress())
        callbacks += [_Begin(self.command), Provenance(), CheckBeforeTraining(config.check_images)]
        callbacks += [ExactResume(), StopOnNonFiniteLoss(), SaveOnTermination()]
        callbacks += [WarnOfLocalBatchNorm(), SavePredictions(), SeenData(), DataWait()]
        callbacks += [WandbRecord()] if config.wandb else []
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


class _Begin(Callback):
    """What fails from the first batch on is no longer a matter of the configuration alone."""

    def __init__(self, command: Command) -> None:
        self.command = command

    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Batches begin."""
        self.command.building = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Batches begin."""
        self.command.building = False

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Batches begin."""
        self.command.building = False

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Batches begin."""
        self.command.building = False

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Batches begin."""
        self.command.building = False


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


def _check_trainer(trainer: Namespace) -> None:
    """Refuse numbers that Lightning divides by, or takes for something else."""
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


def _root_of(run: Path | None, experiment: str) -> Path:
    """The directory of all runs: where a given run is, if it lies under its experiment's name."""
    depth = len(Path(experiment).parts)
    if run is None or run.parts[-1 - depth : -1] != Path(experiment).parts:
        return Path("runs")
    return run.parents[depth]


def _run_by_name(root: Path, experiment: str, name: str | None) -> Path:
    return root / experiment / name if name else latest_run(root, experiment)
