"""Every loss with every kind of selection that it takes, every miner, and batches for them.

What a loss is given by a miner is a selection: all pairs, some, or opponents. So each loss comes
with one miner of each kind, and each miner with one loss, not every loss with every miner.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, get_type_hints

import torch
import torch.nn.functional as F
from torch import nn

from ranklight import losses, miners
from ranklight.pairs import (
    ClassCenters,
    CrossBatchMemory,
    LabelCloseness,
    LabelOverlap,
    LabelWithin,
    Matryoshka,
    Objective,
    Regression,
    SharesLabel,
    WeightedSum,
)

BATCH, DIM, CLASSES = 48, 16, 12
CONTINUOUS = {"LogRatioLoss", "RankNContrastLoss", "RankSimLoss"}
OF_TRIPLETS = {"MarginLoss", "TripletLoss"}


def _gives_opponents(miner):
    return "bool" not in get_type_hints(getattr(miners, miner).forward)["return"].dtypes


class Method(NamedTuple):
    """How an objective is built, the labels that it takes, and whether it draws at random."""

    build: Callable[[], nn.Module]
    labels: str = "classes"
    random: bool = False


def _references(loss):
    """The batch; or class centers, where the loss needs several of a class."""
    several = getattr(loss, "centers_per_class", None)
    return several and ClassCenters(CLASSES, DIM, centers_per_class=several)


def _of_pairs(loss, miner=None):
    mined = {"DistanceWeighted": partial(miners.DistanceWeighted, DIM)}
    relevance = LabelCloseness() if loss in CONTINUOUS else None

    def build():
        built = getattr(losses, loss)()
        mine = mined.get(miner, getattr(miners, miner))
        return Objective(built, mine(), _references(built), relevance)

    return Method(
        build,
        "numbers" if loss in CONTINUOUS else "classes",
        miner == "DistanceWeighted",
    )


def _losses_by_kind():
    for loss in losses.__all__:
        yield loss, "KeepAll"
        yield loss, "MultiSimilarityMiner"
        if loss in OF_TRIPLETS:
            yield loss, "Hardest"


def _miners():
    for miner in miners.__all__:
        yield "TripletLoss" if _gives_opponents(miner) else "ContrastiveLoss", miner


METHODS = {
    f"{loss}, {miner}": _of_pairs(loss, miner)
    for loss, miner in (*_losses_by_kind(), *_miners())
    if "FromPML" not in (loss, miner)
}
METHODS |= {
    name: Method(partial(lambda build: Objective(build()), build), random="drawn" in name)
    for name, build in {
        "triplets, softplus": partial(losses.TripletLoss, soft_margin=True),
        "asymmetric, pairs": partial(losses.AsymmetricLoss, average="pairs"),
        "LSEP, pairs drawn": partial(losses.LSEPLoss, max_pairs=10),
        "WARP, ranks drawn": partial(losses.WARPLoss, sampled_rank=True),
        "softmax, a positive drawn": partial(losses.SoftmaxLoss, sampled=True),
    }.items()
}
METHODS |= {
    "triplets, semi-hard in a band": Method(
        lambda: Objective(losses.TripletLoss(average="pairs"), miners.SemiHard(margin=0.3))
    ),
    "triplets, graded": Method(
        lambda: Objective(losses.TripletLoss(), relevance=LabelCloseness()), "numbers"
    ),
    "triplets, within a distance": Method(
        lambda: Objective(losses.TripletLoss(), relevance=LabelWithin(0.5)), "numbers"
    ),
    "triplets, overlap": Method(
        lambda: Objective(losses.TripletLoss(), relevance=LabelOverlap()), "sets"
    ),
    "contrastive, shared label": Method(
        lambda: Objective(losses.ContrastiveLoss(), relevance=SharesLabel()), "sets"
    ),
    "log-ratio, ties dropped": Method(
        lambda: Objective(losses.LogRatioLoss(keep_ties=False), relevance=LabelCloseness()),
        "numbers",
    ),
    "proxies": Method(
        lambda: Objective(losses.ProxyAnchorLoss(), references=ClassCenters(CLASSES, DIM))
    ),
    "centers, moved": Method(
        lambda: Objective(
            losses.CenterLoss(), references=ClassCenters(CLASSES, DIM, center_learning_rate=0.5)
        )
    ),
    "centers, ArcFace": Method(
        lambda: Objective(losses.ArcFaceLoss(), references=ClassCenters(CLASSES, DIM))
    ),
    "centers in blocks": Method(
        lambda: Objective(
            losses.ArcFaceLoss(), references=ClassCenters(CLASSES, DIM), references_per_block=5
        )
    ),
    "centers drawn": Method(
        lambda: Objective(
            losses.ArcFaceLoss(),
            references=ClassCenters(100 * CLASSES, DIM, sampled_classes=BATCH),
        )
    ),
    "centers that merge": Method(
        lambda: Objective(
            losses.SoftTripleLoss(),
            references=ClassCenters(CLASSES, DIM, centers_per_class=10, center_merging=0.2),
        )
    ),
    "centers, several a class": Method(
        lambda: Objective(
            losses.MagnetLoss(), references=ClassCenters(CLASSES, DIM, centers_per_class=3)
        )
    ),
    "a boundary a class": Method(
        lambda: Objective(losses.MarginLoss(num_classes=CLASSES), miners.DistanceWeighted(DIM)),
        random=True,
    ),
    "prefixes": Method(
        lambda: Matryoshka(
            Objective(losses.MultiSimilarityLoss(), miners.MultiSimilarityMiner()), [4, DIM]
        )
    ),
    "a sum": Method(
        lambda: WeightedSum(
            {
                "ranks": Objective(losses.SupAPLoss()),
                "memory": Objective(losses.ContrastiveLoss(), references=CrossBatchMemory(BATCH)),
            },
            {"memory": 0.5},
        )
    ),
    "regression": Method(lambda: Regression(losses.AbsoluteErrorLoss(), 1, DIM), "numbers"),
    "memory": Method(
        lambda: Objective(losses.ContrastiveLoss(), references=CrossBatchMemory(2 * BATCH + 5))
    ),
    "memory, joined": Method(
        lambda: Objective(
            losses.MultiSimilarityLoss(),
            miners.MultiSimilarityMiner(),
            CrossBatchMemory(BATCH + 5, joined=True),
        )
    ),
}


def batches(kind, dtype, device, count=3):
    """A few batches of (embeddings, labels, index); images come again in the next batch."""
    torch.manual_seed(0)
    made = []
    for start in range(count):
        classes = torch.arange(BATCH) % CLASSES
        labels = {
            "classes": classes,
            "numbers": torch.randn(BATCH, 1, dtype=torch.float64).to(dtype),
            "sets": F.one_hot(classes, CLASSES) | (torch.rand(BATCH, CLASSES) < 0.3).long(),
        }[kind]
        centers = torch.randn(CLASSES, DIM, dtype=torch.float64)[classes]
        noise = torch.randn(BATCH, DIM, dtype=torch.float64)
        embeddings = F.normalize(centers + noise).to(dtype)
        index = torch.arange(BATCH) + start * BATCH // 2
        made.append(tuple(tensor.to(device) for tensor in (embeddings, labels, index)))
    return made


def build(name, dtype, device):
    torch.manual_seed(1)
    return METHODS[name].build().to(device, dtype)


def step(objective, embeddings, labels, index):
    """Value, then the gradients of embeddings and parameters."""
    embeddings = embeddings.detach().clone().requires_grad_()
    objective.zero_grad()
    loss = objective.evaluate(embeddings, labels, index).loss
    loss.backward()
    return [loss.detach(), embeddings.grad, *(p.grad for p in objective.parameters())]
