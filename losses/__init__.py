"""Losses of (similarity S, relevance R, selection M) -> scalar, one a file."""

from losses.asymmetric import AsymmetricLoss
from losses.binary_cross_entropy import BinaryCrossEntropyLoss
from losses.bp_mll import BPMLLLoss
from losses.center import CenterLoss
from losses.contrastive import ContrastiveLoss
from losses.hinge_ranking import HingeRankingLoss
from losses.log_ratio import LogRatioLoss
from losses.lsep import LSEPLoss
from losses.magnet import MagnetLoss
from losses.multi_similarity import MultiSimilarityLoss
from losses.proxy_anchor import ProxyAnchorLoss
from losses.rank_n_contrast import RankNContrastLoss
from losses.smooth_ap import SmoothAPLoss
from losses.softmax import SoftmaxLoss
from losses.sup_con import SupConLoss
from losses.triplet import TripletLoss
from losses.triplet_center import TripletCenterLoss
from losses.two_way import TwoWayLoss
from losses.warp import WARPLoss
from losses.zlpr import ZLPRLoss

__all__ = [
    "AsymmetricLoss",
    "BPMLLLoss",
    "BinaryCrossEntropyLoss",
    "CenterLoss",
    "ContrastiveLoss",
    "HingeRankingLoss",
    "LSEPLoss",
    "LogRatioLoss",
    "MagnetLoss",
    "MultiSimilarityLoss",
    "ProxyAnchorLoss",
    "RankNContrastLoss",
    "SmoothAPLoss",
    "SoftmaxLoss",
    "SupConLoss",
    "TripletCenterLoss",
    "TripletLoss",
    "TwoWayLoss",
    "WARPLoss",
    "ZLPRLoss",
]
