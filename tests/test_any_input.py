"""Whatever a public part is given, it computes what float64 does, or says what it needs.

Each example is a good call of which one or two arguments were disturbed: another type, shape,
layout or device, values that are no numbers, huge, or out of range. The outcome is compared with
the same call on contiguous copies in float64; or it is a TypeError or ValueError that was raised in
a file of ours. Without the tests' checks of shapes and types, as in a run.

A room is covered by a table of good calls that must name all that the room exports.
"""

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor

from ranklight import losses, miners, pairs
from ranklight.datamodules import samplers
from ranklight.losses import ContrastiveLoss, MultiSimilarityLoss
from ranklight.pairs import CrossBatchMemory, InBatch, Objective

ROOT = Path(__file__).resolve().parents[1]
TESTS = Path(__file__).resolve().parent
N, M, DIM = 4, 6, 3

pytestmark = [
    pytest.mark.usefixtures("unchecked"),
    pytest.mark.filterwarnings("ignore"),
]
examples = settings(
    max_examples=25,
    phases=[Phase.explicit, Phase.generate],
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


class Call(NamedTuple):
    """A good call: what is called, and arguments that may be disturbed."""

    part: Callable[..., Any]
    arguments: dict[str, Any]
    random: bool = False
    """Whether it draws, so that rounding may draw otherwise."""


# What may happen to a tensor.

TYPES = [
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.uint16,
    torch.complex64,
]
SHAPES = {
    "empty": lambda x: x[:0],
    "one row": lambda x: x[:1],
    "one row less": lambda x: x[:-1],
    "[n, 1]": lambda x: x.reshape(len(x), -1)[:, :1],
    "no columns": lambda x: x.reshape(len(x), -1)[:, :0],
    "one column less": lambda x: x[:, :-1] if x.ndim > 1 else x,
    "a row alone": lambda x: x[0],
    "one more dimension": lambda x: x.unsqueeze(-1),
    "flat": lambda x: x.flatten(),
}
LAYOUTS = {
    "every other": lambda x: torch.stack([x, x], -1)[..., 0],
    "turned": lambda x: x.T.contiguous().T if x.ndim == 2 else x,
    "expanded": lambda x: x[:1].expand(x.shape) if len(x) else x,
}
VALUES = [float("nan"), float("inf"), -float("inf"), 1e30, -1e30, 1e-30, -1, 7, 300, 2**24 + 1]
KINDS = ["device", "grad", "kind", "layout", "shape", "type", "value"]


def _with_value(tensor: Tensor, value: float, place: int) -> Tensor:
    """One element is another; in integers and booleans as far as they go."""
    if not tensor.numel() or tensor.dtype.is_complex:
        return tensor
    changed = tensor.clone(memory_format=torch.contiguous_format)
    whole = not changed.is_floating_point()
    if whole and not np.isfinite(value):
        return tensor
    if whole and tensor.dtype != torch.bool:
        limits = torch.iinfo(tensor.dtype)
        value = int(min(max(value, limits.min), limits.max))
    changed.view(-1)[place % tensor.numel()] = value
    return changed


@st.composite
def disturbed(draw: st.DrawFn, good: Tensor) -> Any:
    kind = draw(st.sampled_from(KINDS))
    if kind == "type":
        return good.to(draw(st.sampled_from(TYPES)))
    if kind == "shape":
        return SHAPES[draw(st.sampled_from(sorted(SHAPES)))](good)
    if kind == "layout":
        return LAYOUTS[draw(st.sampled_from(sorted(LAYOUTS)))](good)
    if kind == "value":
        return _with_value(good, draw(st.sampled_from(VALUES)), draw(st.integers(0, 30)))
    if kind == "device":
        return good.to("meta")
    if kind == "kind":
        return draw(st.sampled_from([good.tolist(), good.numpy(), None]))
    return good.clone().requires_grad_() if good.is_floating_point() else good


@st.composite
def disturbances(draw: st.DrawFn, arguments: dict[str, Any]) -> dict[str, Any]:
    changed = dict(arguments)
    tensors = sorted(name for name, value in arguments.items() if isinstance(value, Tensor))
    together = draw(st.booleans())
    if together and draw(st.booleans()):  # all alike, which may well be a good call
        kind = draw(st.sampled_from([*SHAPES, *LAYOUTS, "meta"]))
        change = {**SHAPES, **LAYOUTS}.get(kind, lambda x: x.to("meta"))
        changed |= {name: change(arguments[name]) for name in tensors}
    for name in draw(st.lists(st.sampled_from(tensors), max_size=2, unique=True)):
        if changed[name].device.type == "cpu":
            changed[name] = draw(disturbed(changed[name]))
    return changed


# What may come of it.


def outcome(call: Callable[[], Any]) -> Any:
    """What a call returns, or None where it says what it needs."""
    try:
        return call()
    except (TypeError, ValueError) as error:
        raised_in = Path(traceback.extract_tb(error.__traceback__)[-1].filename).resolve()
        if not raised_in.is_relative_to(ROOT) or raised_in.is_relative_to(TESTS):
            raise
        return None


def tensors_of(result: Any) -> list[Tensor]:
    if isinstance(result, Tensor):
        return [result]
    return (
        [tensor for part in result or () for tensor in tensors_of(part)]
        if isinstance(result, (tuple, list))
        else []
    )


def clean(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    wide = value.detach().double() if value.is_floating_point() else value
    return wide.contiguous().clone()


def assert_same(found: Any, expected: Any) -> None:
    """Equal but for float32's rounding; what float32 cannot hold need not be finite."""
    for ours, exact in zip(tensors_of(found), tensors_of(expected), strict=True):
        assert ours.shape == exact.shape
        if ours.device.type == "meta":
            continue
        if not ours.is_floating_point():
            assert torch.equal(ours, exact)
            continue
        ours, exact = ours.detach().double(), exact.detach().double()
        held = exact.isfinite() & (exact.abs() < 1e25)
        scale = exact[held].abs().max().item() if held.any() else 0.0
        torch.testing.assert_close(ours[held], exact[held], rtol=2e-3, atol=2e-3 * scale + 1e-5)
        assert not ours[~held].isfinite().logical_and(ours[~held].abs() < 1e20).any()


def check(call: Call, arguments: dict[str, Any]) -> None:
    torch.manual_seed(0)
    found = outcome(lambda: call.part(**arguments))
    if found is None or call.random:
        return
    torch.manual_seed(0)
    exact = call.part(**{name: clean(value) for name, value in arguments.items()})
    assert_same(found, exact)


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
}
LOSSES["TripletLoss of opponents"] = Call(
    _with_gradient(losses.TripletLoss()), {**MATRICES, "selection": OPPONENTS}
)
MINERS = {
    name: Call(getattr(miners, name)(), {**MATRICES, "mask": MASK})
    for name in miners.__all__
    if name not in ("BatchTriplets", "DistanceWeighted")
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
    "compare": Call(
        lambda **batch: pairs.compare(**batch, references=InBatch(), relevance=pairs.SameClass()),
        {name: BATCH[name] for name in ("embeddings", "labels")},
    ),
    "pairwise_similarity": Call(
        pairs.pairwise_similarity, {"embeddings": EMBEDDINGS, "references": OTHERS}
    ),
}
CALLS = {**LOSSES, **MINERS, **RELEVANCES, **REFERENCES}


@pytest.mark.parametrize("name", CALLS)
def test_a_number_as_in_float64_or_a_sentence(name):
    call = CALLS[name]

    @examples
    @given(disturbances(call.arguments))
    def try_one(arguments):
        check(call, arguments)

    try_one()


@pytest.mark.parametrize("name", CALLS)
def test_the_call_that_is_disturbed_is_a_good_one(name):
    assert tensors_of(CALLS[name].part(**CALLS[name].arguments))


RECORDS = {"ObjectiveOutput", "Pairs", "References"}


def test_every_public_part_is_tried():
    tried = {name.split(",")[0] for name in CALLS}
    assert set(losses.__all__) | set(miners.__all__) | set(pairs.__all__) - RECORDS <= tried
    assert set(samplers.__all__) - {"BatchSampler", "Progress", "TripletRule"} <= SAMPLERS.keys()


# Samplers take numbers and NumPy arrays, and give indices of images.

NUMBERS = [-(2**63), -1, 0, 1, 2, 3, 5, 7, 1000, 2**62, True, 1.5, float("nan"), None, "3"]
TWELVE = torch.arange(12) // 3
NEIGHBOURS = (np.arange(12)[:, None] + np.arange(1, 4)) % 12


def _same(i: np.ndarray, j: np.ndarray) -> np.ndarray:
    return np.where(i // 3 == j // 3, 0.5, 0.0)


def _epoch(sampler: Any) -> Any:
    """The first batches of an epoch."""
    return [batch for batch, _ in zip(sampler, range(3), strict=False)]


SAMPLERS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "ClassBalanced": (
        lambda **given: _epoch(samplers.ClassBalanced(**given)),
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
