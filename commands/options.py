"""The options of training and scoring that Lightning's command line lacks."""

from pytorch_lightning.callbacks import Callback
from pytorch_lightning.cli import LightningArgumentParser

from ranklight.callbacks.embedding_drift import EmbeddingDrift
from ranklight.callbacks.evaluation.baselines import Baselines
from ranklight.callbacks.pictures.embedding_map import EmbeddingMap
from ranklight.callbacks.pictures.gallery import Gallery
from ranklight.callbacks.pictures.training_curves import TrainingCurves
from ranklight.callbacks.pictures.verification_histograms import VerificationHistograms
from ranklight.callbacks.sampler_statistics import SamplerStatistics
from ranklight.running.best_checkpoint import BestCheckpoint
from ranklight.running.compile_network import CompileNetwork
from ranklight.running.exponential_moving_average import ExponentialMovingAverage
from ranklight.running.last_checkpoint import LastCheckpoint

_NAMES = {
    "runs": "Directory of all runs (default: runs; with a run's config.yaml: where it is).",
    "experiment": "Name of the experiment (default: path below experiments/ of the last YAML that "
    "is not a trainer's).",
    "run": "Name of the run (default: the time; for a checkpoint 'best' or 'last': the run of the "
    "config.yaml, or latest). With the checkpoint file of another run: a new run.",
}
_SWITCHES = {
    "wandb": (False, "Log to W&B as well."),
    "allow_untrained": (
        False,
        "Let test, validate and predict score weights that no checkpoint gave.",
    ),
    "zero_shot": (
        False,
        "Let test, validate and predict score a pretrained trunk as it was published; what would "
        "need training is refused, and run.json says so.",
    ),
    "test_after_fit": (False, "After fit, test the best checkpoint."),
    "check_images": (
        True,
        "Before the first step of fit, look at the headers of all image files.",
    ),
    "debug": (False, "Show the traceback of every error."),
}
_WATCHING = {
    "evaluation": Callback,
    "statistics": SamplerStatistics,
    "drift": EmbeddingDrift,
    "curves": TrainingCurves,
    "gallery": Gallery,
    "map": EmbeddingMap,
    "histograms": VerificationHistograms,
    "baselines": Baselines,
    "average": ExponentialMovingAverage,
}
_PARTS = {"best": BestCheckpoint, "last": LastCheckpoint, "network": CompileNetwork}


def add_options(parser: LightningArgumentParser) -> None:
    """What names a run, switches, callbacks by name, and what a run has but may be set."""
    for name, words in _NAMES.items():
        parser.add_argument(f"--{name}", type=str | None, default=None, help=words)
    for name, (default, words) in _SWITCHES.items():
        parser.add_argument(f"--{name}", type=bool, default=default, help=words)
    for name, kind in _WATCHING.items():
        parser.add_argument(
            f"--callbacks.{name}",
            type=kind | None,
            default=None,
            help="Watches the run, beside trainer.callbacks; null drops what a base has here.",
        )
    for name, part in _PARTS.items():
        parser.add_lightning_class_args(part, name)
