"""The three tasks, who learns how fast in them, and schedules that torch lacks."""

from ranklight.lightning_modules.inverse_time import InverseTimeLR
from ranklight.lightning_modules.metric_learning import MetricLearning
from ranklight.lightning_modules.multi_label import MultiLabelClassification
from ranklight.lightning_modules.rates import Rate
from ranklight.lightning_modules.two_head import TwoHeadClassification
from ranklight.lightning_modules.warm_up_cosine import WarmUpCosine

__all__ = [
    "InverseTimeLR",
    "MetricLearning",
    "MultiLabelClassification",
    "Rate",
    "TwoHeadClassification",
    "WarmUpCosine",
]
