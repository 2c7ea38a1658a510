"""The callbacks that every run has, whatever its configuration says."""

import sys
from collections.abc import Sequence

from jsonargparse import Namespace
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.callbacks import ProgressBar as AnyProgressBar

from ranklight.commands.errors import Command
from ranklight.running.batch_norm import WarnOfLocalBatchNorm
from ranklight.running.checks_before_training import CheckBeforeTraining
from ranklight.running.data_wait import DataWait
from ranklight.running.non_finite import StopOnNonFiniteLoss
from ranklight.running.plain_progress import PlainProgress
from ranklight.running.predictions import SavePredictions
from ranklight.running.progress_bar import ProgressBar
from ranklight.running.provenance import Provenance
from ranklight.running.resume import ExactResume
from ranklight.running.seen_data import SeenData
from ranklight.running.termination import SaveOnTermination
from ranklight.running.wandb_record import WandbRecord
from ranklight.running.what_learns import WhatLearns
from ranklight.running.zero_shot import ZeroShot


class Begin(Callback):
    """What fails from the first batch on is no longer a matter of the configuration alone."""

    def __init__(self, command: Command) -> None:
        self.command = command

    def _batches_begin(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.command.building = False

    on_sanity_check_start = on_train_start = on_validation_start = _batches_begin
    on_test_start = on_predict_start = _batches_begin


def callbacks_of_every_run(
    command: Command, config: Namespace, given: Sequence[Callback]
) -> list[Callback]:
    """In the order in which they must come.

    Args:
        command: What was called.
        config: Its configuration.
        given: The callbacks that the configuration names: a bar among them replaces ours.
    """
    bar = config.trainer.enable_progress_bar is not False and not any(
        isinstance(callback, AnyProgressBar) for callback in given
    )
    return [
        WhatLearns(),
        *([ZeroShot()] if config.zero_shot else []),
        *([ProgressBar() if sys.stdout.isatty() else PlainProgress()] if bar else []),
        Begin(command),
        Provenance(),
        CheckBeforeTraining(config.check_images),
        ExactResume(),
        StopOnNonFiniteLoss(),
        SaveOnTermination(),
        WarnOfLocalBatchNorm(),
        SavePredictions(),
        SeenData(),
        DataWait(),
        *([WandbRecord()] if config.wandb else []),
    ]
