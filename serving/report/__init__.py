"""What a run left behind, as one page of HTML."""

from ranklight.serving.report.confused_classes import Confusion, confused_classes
from ranklight.serving.report.evidence import Limits
from ranklight.serving.report.near_duplicates import NearDuplicate, near_pairs_across
from ranklight.serving.report.nearest_images import Nearest, nearest_images
from ranklight.serving.report.report import write_report
from ranklight.serving.report.suspected_labels import Suspect, suspected_labels

__all__ = [
    "Confusion",
    "Limits",
    "NearDuplicate",
    "Nearest",
    "Suspect",
    "confused_classes",
    "near_pairs_across",
    "nearest_images",
    "suspected_labels",
    "write_report",
]
