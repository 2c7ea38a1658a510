"""Which images make a batch: pure functions of (seed, epoch, position) on any number of ranks."""

from ranklight.datamodules.samplers.batch_sampler import BatchSampler, Progress
from ranklight.datamodules.samplers.class_balanced import ClassBalanced
from ranklight.datamodules.samplers.nearest_labels import NearestLabels
from ranklight.datamodules.samplers.pair_relevance import relevance_of_pairs, total_relevance
from ranklight.datamodules.samplers.relevance_triplets import RelevanceTriplets
from ranklight.datamodules.samplers.sharded import Sharded
from ranklight.datamodules.samplers.shuffled import Shuffled
from ranklight.datamodules.samplers.triplet_buffers import TripletBuffers, TripletRule

__all__ = [
    "BatchSampler",
    "ClassBalanced",
    "NearestLabels",
    "Progress",
    "RelevanceTriplets",
    "Sharded",
    "Shuffled",
    "TripletBuffers",
    "TripletRule",
    "relevance_of_pairs",
    "total_relevance",
]
