"""Miners of (similarity S, relevance R, mask M) -> a narrower selection, one a file."""

from miners.batch_triplets import BatchTriplets
from miners.by_relevance import ByRelevance
from miners.distance_weighted import DistanceWeighted
from miners.first_anchors import FirstAnchors
from miners.hardest import Hardest
from miners.keep_all import KeepAll
from miners.multi_similarity import MultiSimilarityMiner
from miners.semi_hard import SemiHard

__all__ = [
    "BatchTriplets",
    "ByRelevance",
    "DistanceWeighted",
    "FirstAnchors",
    "Hardest",
    "KeepAll",
    "MultiSimilarityMiner",
    "SemiHard",
]
