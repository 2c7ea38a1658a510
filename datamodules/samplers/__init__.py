"""Which images make a batch: pure functions of (seed, epoch, position) on any number of ranks."""

from ranklight.datamodules.samplers.batch_sampler import BatchSampler, Progress
from ranklight.datamodules.samplers.class_balanced import ClassBalanced
from ranklight.datamodules.samplers.hard_classes import HardClasses
from ranklight.datamodules.samplers.hard_negatives import HardNegatives
from ranklight.datamodules.samplers.nearest_labels import NearestLabels
from ranklight.datamodules.samplers.pair_relevance import relevance_of_pairs, total_relevance
from ranklight.datamodules.samplers.relevance_triplets import RelevanceTriplets
from ranklight.datamodules.samplers.several_views import SeveralViews
from ranklight.datamodules.samplers.sharded import Sharded
from ranklight.datamodules.samplers.shuffled import Shuffled
from ranklight.datamodules.samplers.super_classes import SuperClasses
from ranklight.datamodules.samplers.triplet_buffers import TripletBuffers, TripletRule
from ranklight.datamodules.samplers.weighted_classes import WeightedClasses

__all__ = [
    "BatchSampler",
    "ClassBalanced",
    "HardClasses",
    "HardNegatives",
    "NearestLabels",
    "Progress",
    "RelevanceTriplets",
    "SeveralViews",
    "Sharded",
    "Shuffled",
    "SuperClasses",
    "TripletBuffers",
    "TripletRule",
    "WeightedClasses",
    "relevance_of_pairs",
    "total_relevance",
]
