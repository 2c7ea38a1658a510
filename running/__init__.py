"""What makes a run found, continued and trusted."""

from ranklight.running.batch_norm import WarnOfLocalBatchNorm
from ranklight.running.best_checkpoint import BestCheckpoint
from ranklight.running.checkpoint_io import AtomicCheckpointIO
from ranklight.running.checks_before_training import CheckBeforeTraining
from ranklight.running.compile_network import CompileNetwork
from ranklight.running.data_wait import DataWait
from ranklight.running.exponential_moving_average import ExponentialMovingAverage
from ranklight.running.last_checkpoint import LastCheckpoint
from ranklight.running.metrics_file import MetricsFile
from ranklight.running.non_finite import StopOnNonFiniteLoss
from ranklight.running.plain_progress import PlainProgress
from ranklight.running.predictions import SavePredictions
from ranklight.running.progress_bar import ProgressBar
from ranklight.running.provenance import Provenance
from ranklight.running.resume import ExactResume
from ranklight.running.save_config import SaveConfig
from ranklight.running.seen_data import SeenData
from ranklight.running.termination import SaveOnTermination
from ranklight.running.what_learns import WhatLearns
from ranklight.running.zero_shot import ZeroShot

__all__ = [
    "AtomicCheckpointIO",
    "BestCheckpoint",
    "CheckBeforeTraining",
    "CompileNetwork",
    "DataWait",
    "ExactResume",
    "ExponentialMovingAverage",
    "LastCheckpoint",
    "MetricsFile",
    "PlainProgress",
    "ProgressBar",
    "Provenance",
    "SaveConfig",
    "SaveOnTermination",
    "SavePredictions",
    "SeenData",
    "StopOnNonFiniteLoss",
    "WarnOfLocalBatchNorm",
    "WhatLearns",
    "ZeroShot",
]
