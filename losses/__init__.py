"""Losses of (similarity S, relevance R, selection M) -> scalar, one a file."""

from ranklight.losses.arc_face import ArcFaceLoss
from ranklight.losses.asymmetric import AsymmetricLoss
from ranklight.losses.binary_cross_entropy import BinaryCrossEntropyLoss
from ranklight.losses.bp_mll import BPMLLLoss
from ranklight.losses.center import CenterLoss
from ranklight.losses.contrastive import ContrastiveLoss
from ranklight.losses.cos_face import CosFaceLoss
from ranklight.losses.from_pml import FromPML
from ranklight.losses.hinge_ranking import HingeRankingLoss
from ranklight.losses.log_ratio import LogRatioLoss
from ranklight.losses.lsep import LSEPLoss
from ranklight.losses.magnet import MagnetLoss
from ranklight.losses.multi_similarity import MultiSimilarityLoss
from ranklight.losses.normalized_softmax import NormalizedSoftmaxLoss
from ranklight.losses.proxy_anchor import ProxyAnchorLoss
from ranklight.losses.proxy_nca import ProxyNCALoss
from ranklight.losses.rank_n_contrast import RankNContrastLoss
from ranklight.losses.smooth_ap import SmoothAPLoss
from ranklight.losses.soft_triple import SoftTripleLoss
from ranklight.losses.softmax import SoftmaxLoss
from ranklight.losses.sub_center_arc_face import SubCenterArcFaceLoss
from ranklight.losses.sup_con import SupConLoss
from ranklight.losses.triplet import TripletLoss
from ranklight.losses.triplet_center import TripletCenterLoss
from ranklight.losses.two_way import TwoWayLoss
from ranklight.losses.warp import WARPLoss
from ranklight.losses.zlpr import ZLPRLoss

__all__ = [
    "ArcFaceLoss",
    "AsymmetricLoss",
    "BPMLLLoss",
    "BinaryCrossEntropyLoss",
    "CenterLoss",
    "ContrastiveLoss",
    "CosFaceLoss",
    "FromPML",
    "HingeRankingLoss",
    "LSEPLoss",
    "LogRatioLoss",
    "MagnetLoss",
    "MultiSimilarityLoss",
    "NormalizedSoftmaxLoss",
    "ProxyAnchorLoss",
    "ProxyNCALoss",
    "RankNContrastLoss",
    "SmoothAPLoss",
    "SoftTripleLoss",
    "SoftmaxLoss",
    "SubCenterArcFaceLoss",
    "SupConLoss",
    "TripletCenterLoss",
    "TripletLoss",
    "TwoWayLoss",
    "WARPLoss",
    "ZLPRLoss",
]
