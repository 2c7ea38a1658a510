"""Encoders and heads."""

from ranklight.models.decisions.label_count import LabelCount
from ranklight.models.decisions.learned_threshold import LearnedThreshold
from ranklight.models.decisions.rule import DecisionRule, Examples
from ranklight.models.decisions.threshold import GlobalThreshold, PerClassThreshold
from ranklight.models.decisions.top_k import TopK, top_labels
from ranklight.models.encoder import Encoder, FeatureMap, Pixels, unit_vectors
from ranklight.models.heads.linear_head import LinearHead
from ranklight.models.heads.ml_decoder import MLDecoder
from ranklight.models.inputs import Inputs, Pictures
from ranklight.models.multi_scale import LowResolution, MultiScale
from ranklight.models.pooling import AttentionPool, AverageMaxPool, AveragePool, GeM, MaxPool
from ranklight.models.trunks.low_rank import LoRA
from ranklight.models.trunks.small_conv_net import SmallConvNet
from ranklight.models.trunks.timm_trunk import TimmTrunk
from ranklight.models.trunks.torchvision_trunk import TorchvisionTrunk
from ranklight.models.two_heads import TwoHeadOutput, TwoHeads

__all__ = [
    "AttentionPool",
    "AverageMaxPool",
    "AveragePool",
    "DecisionRule",
    "Encoder",
    "Examples",
    "FeatureMap",
    "GeM",
    "GlobalThreshold",
    "Inputs",
    "LabelCount",
    "LearnedThreshold",
    "LinearHead",
    "LoRA",
    "LowResolution",
    "MLDecoder",
    "MaxPool",
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
    "top_labels",
    "unit_vectors",
]
