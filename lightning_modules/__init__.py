"""The three tasks, and a schedule that torch lacks."""

from ranklight.lightning_modules.inverse_time import InverseTimeLR
from ranklight.lightning_modules.metric_learning import MetricLearning
from ranklight.lightning_modules.multi_label import MultiLabelClassification
from ranklight.lightning_modules.two_head import TwoHeadClassification

__all__ = [
    "InverseTimeLR",
    "MetricLearning",
    "MultiLabelClassification",
    "TwoHeadClassification",
]
