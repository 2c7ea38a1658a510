"""Which images make a batch: pure functions of (seed, epoch, position) on any number of ranks."""

from datamodules.samplers.class_balanced import ClassBalanced
from datamodules.samplers.nearest_labels import NearestLabels
from datamodules.samplers.progress import Progress, Resumable
from datamodules.samplers.relevance_triplets import RelevanceTriplets
from datamodules.samplers.sharded import Sharded
from datamodules.samplers.shuffled import Shuffled
from datamodules.samplers.triplet_buffers import Rule, TripletBuffers, stream_triplets

__all__ = [
    "ClassBalanced",
    "NearestLabels",
    "Progress",
    "RelevanceTriplets",
    "Resumable",
    "Rule",
    "Sharded",
    "Shuffled",
    "TripletBuffers",
    "stream_triplets",
]
