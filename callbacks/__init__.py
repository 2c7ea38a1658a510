"""What scores and shows a run; none of it changes what is learnt."""

from ranklight.callbacks.embedding_drift import EmbeddingDrift
from ranklight.callbacks.evaluation.baselines import Baselines
from ranklight.callbacks.evaluation.label_decision import LabelDecision
from ranklight.callbacks.evaluation.label_ranking import LabelRanking
from ranklight.callbacks.evaluation.retrieval import RetrievalEvaluation
from ranklight.callbacks.evaluation.triplet_precision import TripletPrecision
from ranklight.callbacks.evaluation.verification import VerificationEvaluation
from ranklight.callbacks.pictures.embedding_map import EmbeddingMap
from ranklight.callbacks.pictures.gallery import Gallery
from ranklight.callbacks.pictures.training_curves import TrainingCurves
from ranklight.callbacks.pictures.verification_histograms import VerificationHistograms
from ranklight.callbacks.sampler_statistics import SamplerStatistics

__all__ = [
    "Baselines",
    "EmbeddingDrift",
    "EmbeddingMap",
    "Gallery",
    "LabelDecision",
    "LabelRanking",
    "RetrievalEvaluation",
    "SamplerStatistics",
    "TrainingCurves",
    "TripletPrecision",
    "VerificationEvaluation",
    "VerificationHistograms",
]
