"""What is wrong with image files: broken ones, odd ones, copies of each other."""

from ranklight.datamodules.examination.copies import Copies, find_copies
from ranklight.datamodules.examination.headers import unreadable_headers
from ranklight.datamodules.examination.named_splits import named_splits
from ranklight.datamodules.examination.near_copies import near_pairs
from ranklight.datamodules.examination.perceptual_hash import perceptual_hash
from ranklight.datamodules.examination.pictures import Pictures, examine_pictures

__all__ = [
    "Copies",
    "Pictures",
    "examine_pictures",
    "find_copies",
    "named_splits",
    "near_pairs",
    "perceptual_hash",
    "unreadable_headers",
]
