"""The three tasks, and a schedule that torch lacks."""

from lightning_modules.inverse_time import InverseTimeLR
from lightning_modules.metric_learning import MetricLearning
from lightning_modules.multi_label import MultiLabelClassification
from lightning_modules.two_head import TwoHeadClassification

__all__ = [
    "InverseTimeLR",
    "MetricLearning",
    "MultiLabelClassification",
    "TwoHeadClassification",
]
