"""What watches a run and never changes what is learnt."""

from callbacks.baselines import Baselines
from callbacks.batch_norm import WarnOfLocalBatchNorm
from callbacks.curves import TrainingCurves
from callbacks.embedded import Embedded
from callbacks.embedding_map import EmbeddingMap
from callbacks.faster_network import FasterNetwork
from callbacks.gallery import Gallery
from callbacks.label_decision import LabelDecision
from callbacks.label_ranking import LabelRanking
from callbacks.last_checkpoint import LastCheckpoint
from callbacks.metrics_file import MetricsFile
from callbacks.non_finite import StopOnNonFiniteLoss
from callbacks.predictions import SavePredictions
from callbacks.progress import StepsBar
from callbacks.resume import ExactResume
from callbacks.retrieval import RetrievalEvaluation
from callbacks.sampler_statistics import SamplerStatistics
from callbacks.termination import SaveOnTermination
from callbacks.triplet_precision import TripletPrecision

__all__ = [
    "Baselines",
    "Embedded",
    "EmbeddingMap",
    "ExactResume",
    "FasterNetwork",
    "Gallery",
    "LabelDecision",
    "LabelRanking",
    "LastCheckpoint",
    "MetricsFile",
    "RetrievalEvaluation",
    "SamplerStatistics",
    "SaveOnTermination",
    "SavePredictions",
    "StepsBar",
    "StopOnNonFiniteLoss",
    "TrainingCurves",
    "TripletPrecision",
    "WarnOfLocalBatchNorm",
]
