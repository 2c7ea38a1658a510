"""Miners of (similarity S, relevance R, mask M) -> a narrower selection, one a file."""

from ranklight.miners.batch_triplets import BatchTriplets
from ranklight.miners.by_relevance import ByRelevance
from ranklight.miners.distance_weighted import DistanceWeighted
from ranklight.miners.first_anchors import FirstAnchors
from ranklight.miners.from_pml import FromPML
from ranklight.miners.hardest import Hardest
from ranklight.miners.keep_all import KeepAll
from ranklight.miners.multi_similarity import MultiSimilarityMiner
from ranklight.miners.semi_hard import SemiHard

__all__ = [
    "BatchTriplets",
    "ByRelevance",
    "DistanceWeighted",
    "FirstAnchors",
    "FromPML",
    "Hardest",
    "KeepAll",
    "MultiSimilarityMiner",
    "SemiHard",
]
