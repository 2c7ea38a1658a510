"""Images, labels and batches: one data set a file."""

from ranklight.datamodules.batch import Batch
from ranklight.datamodules.batches import NearestBatches, PxK, ShuffledBatches, TripletBatches
from ranklight.datamodules.class_batches import SuperClassBatches, WeightedPxK
from ranklight.datamodules.class_data import ClassData
from ranklight.datamodules.digits.classes import DigitClasses
from ranklight.datamodules.digits.cluttered import ClutteredDigits
from ranklight.datamodules.digits.digits import Digits
from ranklight.datamodules.digits.posed import PosedDigits
from ranklight.datamodules.digits.poses import DigitPoses
from ranklight.datamodules.digits.relevance import DigitRelevance
from ranklight.datamodules.digits.scenes import DigitScenes, SeveralDigits
from ranklight.datamodules.evaluation_data import EvaluationData
from ranklight.datamodules.image_folder import ImageFolder
from ranklight.datamodules.image_table import ImageTable
from ranklight.datamodules.labels.graded import GradedRelevance, PairRelevance
from ranklight.datamodules.labels.label_set import LabelSet
from ranklight.datamodules.labels.numbers import Numbers
from ranklight.datamodules.labels.one_class import OneClass
from ranklight.datamodules.loaders import TrainLoader, evaluation_loader
from ranklight.datamodules.long_tail import long_tail
from ranklight.datamodules.mined_batches import HardClassBatches, HardNegativeBatches
from ranklight.datamodules.multi_label_data import MultiLabelData
from ranklight.datamodules.published.cars196 import Cars196
from ranklight.datamodules.published.coco import COCO
from ranklight.datamodules.published.cub200 import CUB200
from ranklight.datamodules.published.fgvc_aircraft import FGVCAircraft
from ranklight.datamodules.published.flowers102 import Flowers102
from ranklight.datamodules.published.gldv2 import GLDv2
from ranklight.datamodules.published.in_shop import InShop
from ranklight.datamodules.published.inaturalist2018 import INaturalist2018
from ranklight.datamodules.published.lfw_pairs import LFWPairs
from ranklight.datamodules.published.market1501 import Market1501
from ranklight.datamodules.published.mpii_pose import MPIIPose, PoseDistances
from ranklight.datamodules.published.nabirds import NABirds
from ranklight.datamodules.published.nus_wide import NUSWIDE
from ranklight.datamodules.published.roxford_paris import ROxfordParis
from ranklight.datamodules.published.stanford_dogs import StanfordDogs
from ranklight.datamodules.published.stanford_online_products import StanfordOnlineProducts
from ranklight.datamodules.published.vehicle_id import VehicleID
from ranklight.datamodules.published.voc2007 import VOC2007
from ranklight.datamodules.query_gallery_data import QueryGalleryData
from ranklight.datamodules.reading.image_files import ImageFiles
from ranklight.datamodules.reading.neighbour_files import (
    Neighbours,
    read_neighbours,
    write_neighbours,
)
from ranklight.datamodules.reading.pair_files import PairFile, read_pairs
from ranklight.datamodules.regression_table import RegressionTable
from ranklight.datamodules.relevant_pairs import RelevantPairs
from ranklight.datamodules.samplers import (
    ClassBalanced,
    HardClasses,
    HardNegatives,
    NearestLabels,
    RelevanceTriplets,
    SeveralViews,
    Sharded,
    Shuffled,
    SuperClasses,
    WeightedClasses,
    relevance_of_pairs,
    total_relevance,
)
from ranklight.datamodules.samplers.label_neighbours import label_neighbours, neighbours_by
from ranklight.datamodules.samplers.mining import Mined, Mining, hardest_negatives
from ranklight.datamodules.split_data import SplitData
from ranklight.datamodules.splits import hold_out, split_hash
from ranklight.datamodules.training_batches import TrainingBatches
from ranklight.datamodules.view_batches import ViewBatches

__all__ = [
    "COCO",
    "CUB200",
    "NUSWIDE",
    "VOC2007",
    "Batch",
    "Cars196",
    "ClassBalanced",
    "ClassData",
    "ClutteredDigits",
    "DigitClasses",
    "DigitPoses",
    "DigitRelevance",
    "DigitScenes",
    "Digits",
    "EvaluationData",
    "FGVCAircraft",
    "Flowers102",
    "GLDv2",
    "GradedRelevance",
    "HardClassBatches",
    "HardClasses",
    "HardNegativeBatches",
    "HardNegatives",
    "INaturalist2018",
    "ImageFiles",
    "ImageFolder",
    "ImageTable",
    "InShop",
    "LFWPairs",
    "LabelSet",
    "MPIIPose",
    "Market1501",
    "Mined",
    "Mining",
    "MultiLabelData",
    "NABirds",
    "NearestBatches",
    "NearestLabels",
    "Neighbours",
    "Numbers",
    "OneClass",
    "PairFile",
    "PairRelevance",
    "PoseDistances",
    "PosedDigits",
    "PxK",
    "QueryGalleryData",
    "ROxfordParis",
    "RegressionTable",
    "RelevanceTriplets",
    "RelevantPairs",
    "SeveralDigits",
    "SeveralViews",
    "Sharded",
    "Shuffled",
    "ShuffledBatches",
    "SplitData",
    "StanfordDogs",
    "StanfordOnlineProducts",
    "SuperClassBatches",
    "SuperClasses",
    "TrainLoader",
    "TrainingBatches",
    "TripletBatches",
    "VehicleID",
    "ViewBatches",
    "WeightedClasses",
    "WeightedPxK",
    "evaluation_loader",
    "hardest_negatives",
    "hold_out",
    "label_neighbours",
    "long_tail",
    "neighbours_by",
    "read_neighbours",
    "read_pairs",
    "relevance_of_pairs",
    "split_hash",
    "total_relevance",
    "write_neighbours",
]
