"""The vocabulary: anchors against references as three matrices S, R and M."""

from ranklight.pairs.compare import Pairs, compare
from ranklight.pairs.matryoshka import Matryoshka, prefix_of
from ranklight.pairs.memory import CrossBatchMemory
from ranklight.pairs.objective import Objective, ObjectiveOutput
from ranklight.pairs.references import ClassCenters, InBatch, References
from ranklight.pairs.regression import Regression
from ranklight.pairs.relevance import (
    ByFeatures,
    ByTable,
    GradedByAttributes,
    LabelCloseness,
    LabelOverlap,
    LabelWithin,
    SameClass,
    SharesLabel,
)
from ranklight.pairs.similarity import pairwise_similarity
from ranklight.pairs.weighted_sum import WeightedSum

__all__ = [
    "ByFeatures",
    "ByTable",
    "ClassCenters",
    "CrossBatchMemory",
    "GradedByAttributes",
    "InBatch",
    "LabelCloseness",
    "LabelOverlap",
    "LabelWithin",
    "Matryoshka",
    "Objective",
    "ObjectiveOutput",
    "Pairs",
    "References",
    "Regression",
    "SameClass",
    "SharesLabel",
    "WeightedSum",
    "compare",
    "pairwise_similarity",
    "prefix_of",
]
