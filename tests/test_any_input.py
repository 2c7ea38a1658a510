"""Whatever a public part is given, it computes what float64 does, or says what it needs.

Without the tests' checks of shapes and types, as in a run. `tests.any_input` says how calls are
disturbed. Metrics and searches have files of their own.

A room is covered by a table of good calls that must name all that the room exports.
"""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pytorch_metric_learning import losses as peer_losses
from pytorch_metric_learning import miners as peer_miners
from torch import Tensor

from ranklight import losses, miners, models, pairs
from ranklight.datamodules import samplers
from ranklight.lightning_modules import Rate
from ranklight.losses import ContrastiveLoss, MultiSimilarityLoss
from ranklight.pairs import CrossBatchMemory, InBatch, Objective
from tests.any_input import (
    NUMBERS,
    Call,
    disturbed,
    examples,
    outcome,
    tensors_of,
    try_disturbed,
)

N, M, DIM = 4, 6, 3

pytestmark = [
    pytest.mark.usefixtures("unchecked"),
    pytest.mark.filterwarnings("ignore"),
]
# The good calls.

_RANDOM = torch.Generator().manual_seed(0)
SIMILARITY = torch.rand(N, M, generator=_RANDOM) * 2 - 1
CLASSES = (torch.rand(N, M, generator=_RANDOM) < 0.4).float()
MASK = torch.rand(N, M, generator=_RANDOM) < 0.8
EMBEDDINGS = torch.nn.functional.normalize(torch.randn(N, DIM, generator=_RANDOM))
OTHERS = torch.nn.functional.normalize(torch.randn(M, DIM, generator=_RANDOM))
ONE_CLASS = {"labels": torch.tensor([0, 1, 1, 2]), "ref_labels": torch.tensor([2, 1, 0, 0, 1])}
SETS = {
    "labels": torch.tensor([[1, 0, -1], [0, 1, 1], [0, 0, 0]]),
    "ref_labels": torch.tensor([[1, 1, 0], [0, -1, 1]]),
}
REAL = {
    "labels": torch.rand(3, 2, generator=_RANDOM),
    "ref_labels": torch.rand(4, 2, generator=_RANDOM),
}
MATRICES = {"similarity": SIMILARITY, "relevance": CLASSES}
OPPONENTS = miners.SemiHard()(SIMILARITY, CLASSES, MASK)


def _with_gradient(loss: Callable[..., Tensor]) -> Callable[..., Any]:
    def both(similarity: Any, relevance: Any, selection: Any) -> Any:
        if isinstance(similarity, Tensor) and similarity.is_floating_point():
            similarity = similarity.detach().requires_grad_()
        value = loss(similarity, relevance, selection)
        return value, torch.autograd.grad(value, similarity)[0]

    return both


LOSSES = {
    name: Call(_with_gradient(getattr(losses, name)()), {**MATRICES, "selection": MASK})
    for name in losses.__all__
    if name not in ("FromPML", "SoftTripleLoss")
}
LOSSES["SoftTripleLoss"] = Call(
    _with_gradient(losses.SoftTripleLoss(centers_per_class=3)), {**MATRICES, "selection": MASK}
)
LOSSES["TripletLoss of opponents"] = Call(
    _with_gradient(losses.TripletLoss()), {**MATRICES, "selection": OPPONENTS}
)
MINERS = {
    name: Call(getattr(miners, name)(), {**MATRICES, "mask": MASK})
    for name in miners.__all__
    if name not in ("BatchTriplets", "DistanceWeighted", "FromPML")
}
MINERS["DistanceWeighted"] = Call(
    miners.DistanceWeighted(8), {**MATRICES, "mask": MASK}, random=True
)
MINERS["BatchTriplets"] = Call(
    miners.BatchTriplets(), {name: x[:3] for name, x in {**MATRICES, "mask": MASK}.items()}
)
RELEVANCES = {
    "SameClass": Call(pairs.SameClass(), ONE_CLASS),
    "SharesLabel": Call(pairs.SharesLabel(), SETS),
    "LabelOverlap": Call(pairs.LabelOverlap(), SETS),
    "LabelCloseness": Call(pairs.LabelCloseness(), REAL),
    "LabelWithin": Call(pairs.LabelWithin(0.5), REAL),
    "GradedByAttributes": Call(pairs.GradedByAttributes(), REAL),
    "ByFeatures": Call(pairs.ByFeatures(), REAL),
    "ByTable": Call(pairs.ByTable(torch.eye(3)), ONE_CLASS),
}
BATCH = {
    "embeddings": EMBEDDINGS,
    "labels": torch.tensor([0, 1, 1, 2]),
    "index": torch.tensor([5, 6, 7, 8]),
}


def _centers(rate: float | None) -> pairs.ClassCenters:
    torch.manual_seed(0)
    return pairs.ClassCenters(3, DIM, center_learning_rate=rate)


def _regression() -> pairs.Regression:
    torch.manual_seed(0)
    return pairs.Regression(losses.AbsoluteErrorLoss(), 1, DIM).double()


def _memory(**batch: Any) -> Any:
    memory = CrossBatchMemory(8)
    memory(EMBEDDINGS, BATCH["labels"], BATCH["index"] - 2)
    return memory(**batch)


REFERENCES = {
    "InBatch": Call(InBatch(), BATCH),
    "ClassCenters": Call(lambda **batch: _centers(None)(**batch), BATCH),
    "ClassCenters, moved": Call(lambda **batch: _centers(0.5)(**batch), BATCH),
    "CrossBatchMemory": Call(_memory, BATCH),
    "Objective": Call(lambda **batch: Objective(MultiSimilarityLoss())(**batch), BATCH),
    "Objective, memory": Call(
        lambda **batch: Objective(ContrastiveLoss(), references=CrossBatchMemory(8))(**batch), BATCH
    ),
    "FromPML": Call(
        lambda **batch: Objective(
            losses.FromPML(peer_losses.ContrastiveLoss()),
            miners.FromPML(peer_miners.PairMarginMiner(0.9, 0.1)),
        )(**batch),
        BATCH,
    ),
    "Objective, references": Call(
        lambda **given: Objective(ContrastiveLoss())(**given),
        {
            "embeddings": EMBEDDINGS,
            "labels": BATCH["labels"],
            "references": OTHERS,
            "ref_labels": torch.tensor([2, 1, 0, 0, 1, 5]),
            "mask": MASK,
        },
    ),
    "Objective, pairs": Call(
        lambda **given: Objective(ContrastiveLoss())(**given),
        {"embeddings": EMBEDDINGS, "references": OTHERS, "positive": CLASSES > 0},
    ),
    "Matryoshka": Call(
        lambda **batch: pairs.Matryoshka(Objective(ContrastiveLoss()), [1, DIM])(**batch), BATCH
    ),
    "WeightedSum": Call(
        lambda **batch: pairs.WeightedSum(
            {"a": Objective(ContrastiveLoss()), "b": Objective(MultiSimilarityLoss())}
        )(**batch),
        BATCH,
    ),
    "Regression": Call(
        lambda **batch: _regression()(**batch), BATCH | {"labels": torch.tensor([0.5, 1, -1, 3])}
    ),
    "compare": Call(
        lambda **batch: pairs.compare(**batch, references=InBatch(), relevance=pairs.SameClass()),
        {name: BATCH[name] for name in ("embeddings", "labels")},
    ),
    "prefix_of": Call(
        lambda embeddings: pairs.prefix_of(embeddings, 2), {"embeddings": EMBEDDINGS}
    ),
    "pairwise_similarity": Call(
        pairs.pairwise_similarity, {"embeddings": EMBEDDINGS, "references": OTHERS}
    ),
}
CALLS = {**LOSSES, **MINERS, **RELEVANCES, **REFERENCES}


@pytest.mark.parametrize("name", CALLS)
def test_a_number_as_in_float64_or_a_sentence(name):
    try_disturbed(CALLS[name])


@pytest.mark.parametrize("name", CALLS)
def test_the_call_that_is_disturbed_is_a_good_one(name):
    assert tensors_of(CALLS[name].part(**CALLS[name].arguments))


# Settings of the constructors.

_ABOVE_0 = {"temperature", "count_temperature", "scale", "alpha", "beta", "gamma"}
SETTINGS = [
    (getattr(room, name), key, parameter.default)
    for room in (losses, miners)
    for name in room.__all__
    for key, parameter in inspect.signature(getattr(room, name)).parameters.items()
    if isinstance(parameter.default, float) and name != "DistanceWeighted"
]


@pytest.mark.parametrize(("kind", "key", "usual"), SETTINGS)
def test_a_setting_is_a_finite_number(kind, key, usual):
    assert outcome(lambda: kind(**{key: usual})) is not None
    for wrong in (float("nan"), "3", None if usual is None else [usual]):
        assert outcome(lambda wrong=wrong: kind(**{key: wrong})) is None
    if key in _ABOVE_0 and kind is not losses.MagnetLoss:
        assert all(outcome(lambda low=low: kind(**{key: low})) is None for low in (0.0, -1.0))


NAN, INFINITE = float("nan"), float("inf")
BEYOND = [
    (pairs.GradedByAttributes, "length", [0.0, -1.0, NAN, INFINITE, "1"]),
    (pairs.GradedByAttributes, "same_class", [-0.1, 1.5, NAN]),
    (pairs.ByFeatures, "length", [0.0, -1.0, NAN, None]),
    (pairs.LabelCloseness, "p", [0.5, 0.0, -INFINITE, NAN, "2"]),
    (pairs.LabelWithin, "threshold", [-1.0, NAN, INFINITE]),
    (partial(CrossBatchMemory, 8), "weight", [-1.0, NAN, "1"]),
    (partial(CrossBatchMemory, 8), "start_step", [-1, 0.5]),
    (partial(CrossBatchMemory, 8, joined=True), "weight", [0.5]),
    (pairs.ClassCenters, "center_learning_rate", [0.0, -0.5, NAN]),
    (pairs.ClassCenters, "center_merging", [-0.2, NAN]),
    (pairs.ClassCenters, "num_classes", [0, 1.5]),
    (models.LabelCount, "max_count", [0, 2.5]),
    (models.LabelCount, "steps", [0, -1]),
    (models.LabelCount, "hidden", [[0], [3, -1], [1.5]]),
    (models.LabelCount, "loss", ["squares"]),
    (models.LabelCount, "inputs", ["pixels"]),
    (models.LabelCount, "fit_on", ["test"]),
    (models.LearnedThreshold, "steps", [0]),
    (models.LearnedThreshold, "hidden", [[-3]]),
    (models.LearnedThreshold, "inputs", ["pixels"]),
    (models.PerClassThreshold, "num_classes", [0, -1]),
    (models.TopK, "k", [0, 1.5]),
    (models.LinearHead, "dropout", [1.0, -0.1, NAN, "0.5"]),
    (models.MLDecoder, "dropout", [1.0, -0.1, NAN]),
    (models.MLDecoder, "queries", [0, -1, 1.5]),
    (models.MLDecoder, "heads", [0, 7]),
    (models.MLDecoder, "hidden", [0]),
    (partial(models.MultiScale, torch.nn.Identity(), 8), "dropout", [1.0, -0.1, NAN]),
    (partial(models.MultiScale, torch.nn.Identity(), 8), "image_size", [0, 7, 1.5]),
    (partial(models.MultiScale, torch.nn.Identity(), 8), "embedding_dim", [0]),
    (models.LowResolution, "subsample", [0, 1.5]),
    (partial(models.LowResolution, 4), "pool_padding", [-1]),
    (partial(models.TwoHeads, models.SmallConvNet()), "embedding_dim", [0]),
    (models.GeM, "p", [0.0, NAN, INFINITE]),
    (Rate, "factor", [0.0, NAN, INFINITE]),
    (Rate, "weight_decay", [-1.0, NAN]),
    (Rate, "frozen_epochs", [-1, 0.5]),
    *[
        (loss, "average", ["mean"])
        for loss in (getattr(losses, name) for name in losses.__all__)
        if "average" in inspect.signature(loss).parameters
    ],
]


@pytest.mark.parametrize(
    ("kind", "key", "wrong"), [(kind, key, each) for kind, key, of in BEYOND for each in of]
)
def test_a_setting_that_cannot_be_is_refused_by_its_name(kind, key, wrong):
    with pytest.raises((TypeError, ValueError), match=key if key != "image_size" else "image|size"):
        kind(**{key: wrong})


RECORDS = {"ObjectiveOutput", "Pairs", "References"}


def test_every_public_part_is_tried():
    tried = {name.split(",")[0] for name in CALLS}
    assert set(losses.__all__) | set(miners.__all__) | set(pairs.__all__) - RECORDS <= tried
    assert set(samplers.__all__) - {"BatchSampler", "Progress", "TripletRule"} <= SAMPLERS.keys()


# Samplers take numbers and NumPy arrays, and give indices of images.

TWELVE = torch.arange(12) // 3
NEIGHBOURS = (np.arange(12)[:, None] + np.arange(1, 4)) % 12


def _same(i: np.ndarray, j: np.ndarray) -> np.ndarray:
    return np.where(i // 3 == j // 3, 0.5, 0.0)


def _epoch(sampler: Any) -> Any:
    """The first batches of an epoch."""
    return [batch for batch, _ in zip(sampler, range(3), strict=False)]


def _mined(sampler: Any) -> Any:
    sampler.take_lists(torch.from_numpy(NEIGHBOURS))
    return sampler


def _images(sampler: Any) -> Any:
    return [[sampler.key(0, position)[1] for position in batch] for batch in _epoch(sampler)]


SAMPLERS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "ClassBalanced": (
        lambda **given: _epoch(samplers.ClassBalanced(**given)),
        {"labels": TWELVE, "classes_per_batch": 2, "samples_per_class": 2, "seed": 0},
    ),
    "HardClasses": (
        lambda **given: _epoch(_mined(samplers.HardClasses(**given))),
        {"labels": TWELVE, "classes_per_batch": 3, "samples_per_class": 2, "around": 2, "seed": 0},
    ),
    "HardNegatives": (
        lambda **given: _epoch(_mined(samplers.HardNegatives(**given))),
        {"labels": TWELVE, "batch_size": 8, "anchors": 2, "positives": 1, "negatives": 2},
    ),
    "SeveralViews": (
        lambda views: _images(samplers.SeveralViews(samplers.Shuffled(12, 4), 12, views)),
        {"views": 2},
    ),
    "SuperClasses": (
        lambda **given: _epoch(samplers.SuperClasses(**given)),
        {
            "labels": TWELVE,
            "super_classes": TWELVE // 2,
            "super_classes_per_batch": 2,
            "classes_per_super_class": 2,
            "samples_per_class": 2,
        },
    ),
    "WeightedClasses": (
        lambda **given: _epoch(samplers.WeightedClasses(**given)),
        {"labels": TWELVE, "classes_per_batch": 2, "samples_per_class": 2, "seed": 0},
    ),
    "NearestLabels": (
        lambda **given: _epoch(samplers.NearestLabels(**given)),
        {"size": 12, "neighbours": NEIGHBOURS, "batch_size": 8, "anchors": 2, "seed": 0},
    ),
    "RelevanceTriplets": (
        lambda **given: _epoch(samplers.RelevanceTriplets(of_pairs=_same, **given)),
        {"classes": TWELVE, "triplets_per_batch": 2, "buffer_size": 4, "seed": 0},
    ),
    "Sharded": (
        lambda **given: list(samplers.Sharded(**given))[:3],
        {"size": 12, "rank": 0, "world_size": 2},
    ),
    "Shuffled": (
        lambda **given: _epoch(samplers.Shuffled(**given)),
        {"size": 12, "batch_size": 4, "seed": 0, "rank": 0, "world_size": 2},
    ),
    "TripletBuffers": (
        lambda **given: samplers.TripletBuffers(of_pairs=_same, **given) and [],
        {"classes": 4, "size": 4, "seed": 0},
    ),
    "relevance_of_pairs": (
        lambda **given: samplers.relevance_of_pairs(pairs.SameClass(), **given) and [],
        {"labels": TWELVE},
    ),
    "total_relevance": (
        lambda **given: samplers.total_relevance(_same, **given) is None or [],
        {"classes": TWELVE.numpy()},
    ),
}


@st.composite
def arguments_of(draw: st.DrawFn, good: dict[str, Any]) -> dict[str, Any]:
    changed = dict(good)
    for name in draw(st.lists(st.sampled_from(sorted(good)), max_size=2, unique=True)):
        if isinstance(good[name], int):
            changed[name] = draw(st.sampled_from(NUMBERS))
            continue
        given = draw(disturbed(torch.as_tensor(good[name])))
        if isinstance(good[name], np.ndarray) and isinstance(given, Tensor):
            usable = given.device.type == "cpu" and given.dtype != torch.bfloat16
            given = given.detach().numpy() if usable else good[name]
        changed[name] = given
    return changed


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_gives_images_or_a_sentence(name):
    build, good = SAMPLERS[name]
    assert build(**good) is not None

    @examples
    @given(arguments_of(good))
    def try_one(given):
        for batch in outcome(lambda: build(**given)) or []:
            images = batch if isinstance(batch, list) else [batch]
            assert all(0 <= image < 1000 for image in images)

    try_one()
