"""Losses of (similarity S, relevance R, selection M) -> scalar, one a file."""

from ranklight.losses.absolute_error import AbsoluteErrorLoss
from ranklight.losses.arc_face import ArcFaceLoss
from ranklight.losses.asymmetric import AsymmetricLoss
from ranklight.losses.binary_cross_entropy import BinaryCrossEntropyLoss
from ranklight.losses.bp_mll import BPMLLLoss
from ranklight.losses.center import CenterLoss
from ranklight.losses.circle import CircleLoss
from ranklight.losses.contrastive import ContrastiveLoss
from ranklight.losses.cos_face import CosFaceLoss
from ranklight.losses.fast_ap import FastAPLoss
from ranklight.losses.from_pml import FromPML
from ranklight.losses.hinge_ranking import HingeRankingLoss
from ranklight.losses.info_nce import InfoNCELoss
from ranklight.losses.lifted_structure import LiftedStructureLoss
from ranklight.losses.log_ratio import LogRatioLoss
from ranklight.losses.lsep import LSEPLoss
from ranklight.losses.magnet import MagnetLoss
from ranklight.losses.margin import MarginLoss
from ranklight.losses.multi_similarity import MultiSimilarityLoss
from ranklight.losses.nca import NCALoss
from ranklight.losses.normalized_softmax import NormalizedSoftmaxLoss
from ranklight.losses.proxy_anchor import ProxyAnchorLoss
from ranklight.losses.proxy_nca import ProxyNCALoss
from ranklight.losses.rank_n_contrast import RankNContrastLoss
from ranklight.losses.rank_sim import RankSimLoss
from ranklight.losses.recall_at_k import RecallAtKLoss
from ranklight.losses.smooth_ap import SmoothAPLoss
from ranklight.losses.soft_triple import SoftTripleLoss
from ranklight.losses.softmax import SoftmaxLoss
from ranklight.losses.sub_center_arc_face import SubCenterArcFaceLoss
from ranklight.losses.sup_ap import SupAPLoss
from ranklight.losses.sup_con import SupConLoss
from ranklight.losses.threshold_consistent_margin import ThresholdConsistentMarginLoss
from ranklight.losses.triplet import TripletLoss
from ranklight.losses.triplet_center import TripletCenterLoss
from ranklight.losses.two_way import TwoWayLoss
from ranklight.losses.warp import WARPLoss
from ranklight.losses.zlpr import ZLPRLoss

__all__ = [
    "AbsoluteErrorLoss",
    "ArcFaceLoss",
    "AsymmetricLoss",
    "BPMLLLoss",
    "BinaryCrossEntropyLoss",
    "CenterLoss",
    "CircleLoss",
    "ContrastiveLoss",
    "CosFaceLoss",
    "FastAPLoss",
    "FromPML",
    "HingeRankingLoss",
    "InfoNCELoss",
    "LSEPLoss",
    "LiftedStructureLoss",
    "LogRatioLoss",
    "MagnetLoss",
    "MarginLoss",
    "MultiSimilarityLoss",
    "NCALoss",
    "NormalizedSoftmaxLoss",
    "ProxyAnchorLoss",
    "ProxyNCALoss",
    "RankNContrastLoss",
    "RankSimLoss",
    "RecallAtKLoss",
    "SmoothAPLoss",
    "SoftTripleLoss",
    "SoftmaxLoss",
    "SubCenterArcFaceLoss",
    "SupAPLoss",
    "SupConLoss",
    "ThresholdConsistentMarginLoss",
    "TripletCenterLoss",
    "TripletLoss",
    "TwoWayLoss",
    "WARPLoss",
    "ZLPRLoss",
]
