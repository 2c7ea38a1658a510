"""The vocabulary: anchors against references as three matrices S, R and M."""

from ranklight.pairs.compare import Pairs, compare
from ranklight.pairs.memory import CrossBatchMemory
from ranklight.pairs.objective import Objective, ObjectiveOutput
from ranklight.pairs.references import ClassCenters, InBatch, References
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
    "Objective",
    "ObjectiveOutput",
    "Pairs",
    "References",
    "SameClass",
    "SharesLabel",
    "compare",
    "pairwise_similarity",
]
