"""The vocabulary: anchors against references as three matrices S, R and M."""

from pairs.compare import Pairs, compare
from pairs.memory import CrossBatchMemory
from pairs.objective import Evaluated, Objective
from pairs.references import ClassCentres, InBatch, References
from pairs.relevance import (
    LabelCloseness,
    LabelOverlap,
    LabelWithin,
    SameClass,
    SharesLabel,
)
from pairs.similarity import pairwise_similarity

__all__ = [
    "ClassCentres",
    "CrossBatchMemory",
    "Evaluated",
    "InBatch",
    "LabelCloseness",
    "LabelOverlap",
    "LabelWithin",
    "Objective",
    "Pairs",
    "References",
    "SameClass",
    "SharesLabel",
    "compare",
    "pairwise_similarity",
]
