"""Encoders and heads."""

from ranklight.models.decisions.label_count import LabelCount
from ranklight.models.decisions.learned_threshold import LearnedThreshold
from ranklight.models.decisions.rule import DecisionRule, Examples
from ranklight.models.decisions.threshold import GlobalThreshold, PerClassThreshold
from ranklight.models.decisions.top_k import TopK, top_labels
from ranklight.models.encoder import Encoder, Pixels, pool, unit_vectors
from ranklight.models.inputs import Inputs, Pictures
from ranklight.models.multi_scale import LowResolution, MultiScale
from ranklight.models.trunks import SmallConvNet, TimmTrunk, TorchvisionTrunk
from ranklight.models.two_heads import TwoHeadOutput, TwoHeads

__all__ = [
    "DecisionRule",
    "Encoder",
    "Examples",
    "GlobalThreshold",
    "Inputs",
    "LabelCount",
    "LearnedThreshold",
    "LowResolution",
    "MultiScale",
    "PerClassThreshold",
    "Pictures",
    "Pixels",
    "SmallConvNet",
    "TimmTrunk",
    "TopK",
    "TorchvisionTrunk",
    "TwoHeadOutput",
    "TwoHeads",
    "pool",
    "top_labels",
    "unit_vectors",
]
