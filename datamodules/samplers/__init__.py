"""Which images make a batch: pure functions of (seed, epoch, position) on any number of ranks."""

from ranklight.datamodules.samplers.class_balanced import ClassBalanced
from ranklight.datamodules.samplers.nearest_labels import NearestLabels
from ranklight.datamodules.samplers.progress import Progress, Resumable
from ranklight.datamodules.samplers.relevance_triplets import RelevanceTriplets
from ranklight.datamodules.samplers.sharded import Sharded
from ranklight.datamodules.samplers.shuffled import Shuffled
from ranklight.datamodules.samplers.triplet_buffers import Rule, TripletBuffers, stream_triplets

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
