"""Encoders and heads."""

from models.decision import DecisionRule
from models.decision_label_count import LabelCount
from models.decision_learned_threshold import LearnedThreshold
from models.decision_threshold import GlobalThreshold, PerClassThreshold
from models.decision_top_k import TopK, top_labels
from models.encoder import Encoder, Pixels, pool
from models.multi_scale import LowResolution, MultiScale
from models.trunks import SmallConvNet, TimmTrunk, TorchvisionTrunk
from models.two_heads import TwoHeadOutput, TwoHeads

__all__ = [
    "DecisionRule",
    "Encoder",
    "GlobalThreshold",
    "LabelCount",
    "LearnedThreshold",
    "LowResolution",
    "MultiScale",
    "PerClassThreshold",
    "Pixels",
    "SmallConvNet",
    "TimmTrunk",
    "TopK",
    "TorchvisionTrunk",
    "TwoHeadOutput",
    "TwoHeads",
    "pool",
    "top_labels",
]
