"""Images, labels and batches: one data set a file."""

from datamodules.base import (
    TrainLoader,
    evaluation_loader,
    hold_out,
    rank_and_world_size,
    refuse_other_split,
    split_hash,
)
from datamodules.batch import Batch
from datamodules.cars196 import Cars196
from datamodules.class_data import ClassData
from datamodules.coco import COCO
from datamodules.cub200 import CUB200
from datamodules.digit_classes import DigitClasses
from datamodules.digit_poses import DigitPoses, PosedDigits
from datamodules.digit_relevance import DigitRelevance
from datamodules.digit_scenes import Arrangements, DigitScenes
from datamodules.digits import Digits, Scenes
from datamodules.fgvc_aircraft import FGVCAircraft
from datamodules.flowers102 import Flowers102
from datamodules.image_files import ImageFiles
from datamodules.image_folder import ImageFolder
from datamodules.long_tail import long_tail
from datamodules.mpii_pose import MPIIPose, PoseDistances
from datamodules.multi_label_data import MultiLabelData
from datamodules.nabirds import NABirds
from datamodules.neighbour_files import Neighbours, read_neighbours, write_neighbours
from datamodules.neighbours import label_neighbours, neighbours_by
from datamodules.nus_wide import NUSWIDE
from datamodules.regression_table import RegressionTable
from datamodules.relevance import ByFeatures, ByTable, GradedByAttributes, total_relevance
from datamodules.samplers import ClassBalanced, NearestLabels, RelevanceTriplets, Sharded, Shuffled
from datamodules.stanford_dogs import StanfordDogs
from datamodules.stanford_online_products import StanfordOnlineProducts
from datamodules.training_batches import TrainingBatches
from datamodules.voc2007 import VOC2007

__all__ = [
    "COCO",
    "CUB200",
    "NUSWIDE",
    "VOC2007",
    "Arrangements",
    "Batch",
    "ByFeatures",
    "ByTable",
    "Cars196",
    "ClassBalanced",
    "ClassData",
    "DigitClasses",
    "DigitPoses",
    "DigitRelevance",
    "DigitScenes",
    "Digits",
    "FGVCAircraft",
    "Flowers102",
    "GradedByAttributes",
    "ImageFiles",
    "ImageFolder",
    "MPIIPose",
    "MultiLabelData",
    "NABirds",
    "NearestLabels",
    "Neighbours",
    "PoseDistances",
    "PosedDigits",
    "RegressionTable",
    "RelevanceTriplets",
    "Scenes",
    "Sharded",
    "Shuffled",
    "StanfordDogs",
    "StanfordOnlineProducts",
    "TrainLoader",
    "TrainingBatches",
    "evaluation_loader",
    "hold_out",
    "label_neighbours",
    "long_tail",
    "neighbours_by",
    "rank_and_world_size",
    "read_neighbours",
    "refuse_other_split",
    "split_hash",
    "total_relevance",
    "write_neighbours",
]
