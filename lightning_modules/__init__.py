"""The three tasks."""

from lightning_modules.metric_learning import MetricLearning
from lightning_modules.multi_label import MultiLabelClassification
from lightning_modules.two_head import TwoHeadClassification

__all__ = [
    "MetricLearning",
    "MultiLabelClassification",
    "TwoHeadClassification",
]
