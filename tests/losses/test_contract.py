"""What every loss promises, whatever it computes; a new one too, as soon as it is exported."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ranklight import losses
from ranklight.kernels import chunks
from ranklight.pairs import pairwise_similarity


class Case(NamedTuple):
    """How a loss is built, the relevance and the selections that it takes."""

    build: Callable[[], nn.Module]
    relevance: str = "classes"
    selections: tuple[str, ...] = ("pairs",)
    finite_at_scale: float = 30.0
    """Scores this many times as far apart still have a gradient that float16 can hold."""
    differentiated: bool = True
    """Whether its gradient is the derivative of its value; its own test says what it is, if not."""
    centers: int = 1
    """So many neighbouring columns are one class."""


BOTH = ("pairs", "opponents")
UNUSUAL = {
    "BPMLLLoss": Case(losses.BPMLLLoss, finite_at_scale=2.0),
    "CircleLoss": Case(losses.CircleLoss, differentiated=False),
    "LogRatioLoss": Case(losses.LogRatioLoss, "closeness"),
    "MarginLoss": Case(losses.MarginLoss, selections=BOTH),
    "RankNContrastLoss": Case(losses.RankNContrastLoss, "closeness"),
    "RankSimLoss": Case(losses.RankSimLoss, "closeness", differentiated=False),
    "SoftTripleLoss": Case(partial(losses.SoftTripleLoss, centers_per_class=3), centers=3),
    "SubCenterArcFaceLoss": Case(losses.SubCenterArcFaceLoss, centers=3),
    "TripletLoss": Case(losses.TripletLoss, "closeness", BOTH),
}
CASES = {
    name: UNUSUAL.get(name, Case(getattr(losses, name)))
    for name in losses.__all__
    if not getattr(getattr(losses, name), "takes_vectors", False)
}
EVERY = [(name, kind) for name in CASES for kind in CASES[name].selections]
every_loss = pytest.mark.parametrize(("name", "kind"), EVERY)


def make(name, kind, dtype=torch.float64, seed=0, anchors=8, references=12):
    """A loss, and inputs of which row 2 and a part of the others is not selected."""
    torch.manual_seed(seed)
    case = CASES[name]
    embeddings = nn.functional.normalize(torch.randn(anchors + references, 4).double())
    similarity = pairwise_similarity(embeddings[:anchors], embeddings[anchors:])
    relevance = {"classes": _same_class, "closeness": _closeness}[case.relevance](
        anchors, references
    )
    selection = torch.rand(anchors, references) < 0.7
    selection[2:3] = False
    if kind == "opponents":
        selection = _opponents(relevance, selection)
    return case.build(), similarity.to(dtype), relevance.to(dtype), selection


def _same_class(anchors, references):
    return (torch.randint(3, (anchors, 1)) == torch.randint(3, (1, references))).double()


def _closeness(anchors, references):
    labels = torch.randn(anchors + references).double()
    return 1 - (labels[:anchors, None] - labels[None, anchors:]).abs()


def _opponents(relevance, selection):
    lot = torch.rand(*relevance.shape, relevance.shape[1])
    allowed = (relevance[:, :, None] > relevance[:, None, :]) & selection[:, None, :]
    best, column = torch.where(allowed, lot, -1.0).max(2)
    return torch.where((best >= 0) & selection, column, -1)


def nothing(selection):
    return torch.full_like(selection, False if selection.dtype == torch.bool else -1)


def is_used(selection):
    """Which elements of S and R a selection lets a loss see."""
    if selection.dtype == torch.bool:
        return selection
    used = selection >= 0
    return used.scatter_reduce(1, selection.clamp(min=0), used, "amax")


def value_and_gradient(loss, similarity, relevance, selection):
    similarity = similarity.detach().clone().requires_grad_()
    value = loss(similarity, relevance, selection)
    value.backward()
    return value.detach(), similarity.grad


@every_loss
def test_pure(name, kind):
    loss, *inputs = make(name, kind)
    before = [tensor.clone() for tensor in inputs]
    state = {key: tensor.clone() for key, tensor in loss.state_dict().items()}
    first, second = value_and_gradient(loss, *inputs), value_and_gradient(loss, *inputs)
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    torch.testing.assert_close(inputs, before, rtol=0, atol=0)
    torch.testing.assert_close(dict(loss.state_dict()), state, rtol=0, atol=0)


@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_blind_to_what_is_not_selected(name, kind, dtype):
    loss, similarity, relevance, selection = make(name, kind, dtype)
    value, grad = value_and_gradient(loss, similarity, relevance, selection)
    assert value > 0
    assert (grad != 0).any()
    used = is_used(selection)
    for garbage in (0.5, -1e30, 1e30, torch.inf, -torch.inf, torch.nan):
        dirty = similarity.where(used, garbage), relevance.where(used, -garbage)
        dirty_value, dirty_grad = value_and_gradient(loss, *dirty, selection)
        torch.testing.assert_close(dirty_value, value)
        torch.testing.assert_close(dirty_grad, grad)
        assert (dirty_grad[~used] == 0).all()


@every_loss
def test_blind_to_the_order_of_references(name, kind):
    loss, similarity, relevance, selection = make(name, kind)
    value, grad = value_and_gradient(loss, similarity, relevance, selection)
    order = _shuffled(similarity.shape[1], CASES[name].centers)
    selected = selection[:, order]
    if kind == "opponents":
        selected = torch.where(selected < 0, -1, order.argsort()[selected.clamp(min=0)])
    turned = value_and_gradient(loss, similarity[:, order], relevance[:, order], selected)
    torch.testing.assert_close(turned, (value, grad[:, order]))


def _shuffled(columns, centers):
    """Another order of the columns in which the centers of a class are still neighbours."""
    classes = torch.randperm(columns // centers).unsqueeze(1)
    within = torch.stack([torch.randperm(centers) for _ in classes])
    return (classes * centers + within).flatten()


@every_loss
def test_exactly_0_when_nothing_is_selected(name, kind):
    loss, similarity, relevance, selection = make(name, kind)
    value, grad = value_and_gradient(loss, similarity, relevance, nothing(selection))
    assert value == 0
    assert (grad == 0).all()


@every_loss
@pytest.mark.parametrize(("anchors", "references"), [(0, 0), (0, 6), (5, 0)])
def test_exactly_0_without_anchors_or_references(name, kind, anchors, references):
    loss, similarity, relevance, selection = make(name, kind)
    empty = [tensor[:anchors, :references] for tensor in (similarity, relevance, selection)]
    value, grad = value_and_gradient(loss, *empty)
    assert value == 0
    assert grad.shape == (anchors, references)


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_finite_in_half_precision(name, kind, dtype):
    loss, similarity, relevance, selection = make(name, kind, dtype)
    for scale in (1, CASES[name].finite_at_scale):
        value, grad = value_and_gradient(loss, 1 - scale * (1 - similarity), relevance, selection)
        assert value.isfinite()
        assert grad.isfinite().all()


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_does_not_change_it(name, kind, dtype):
    loss, *inputs = make(name, kind, torch.float32)
    expected = value_and_gradient(loss, *inputs)
    with torch.autocast("cpu", dtype):
        torch.testing.assert_close(value_and_gradient(loss, *inputs), expected)


@pytest.mark.parametrize(
    ("name", "kind"), [(n, kind) for n, kind in EVERY if CASES[n].differentiated]
)
def test_gradient(name, kind):
    loss, similarity, relevance, selection = make(name, kind)
    similarity.requires_grad_()
    value = lambda s: loss(s, relevance, selection)  # noqa: E731
    assert torch.autograd.gradcheck(value, (similarity,), fast_mode=True)


@every_loss
def test_a_single_anchor_and_a_single_reference(name, kind):
    for anchors, references in [(1, 1), (1, 5), (5, 1)]:
        columns = references * CASES[name].centers
        inputs = make(name, kind, anchors=anchors, references=columns, seed=1)
        value, grad = value_and_gradient(*inputs)
        assert value.isfinite()
        assert grad.isfinite().all()


@every_loss
@pytest.mark.usefixtures("unchecked")
def test_no_value_is_read_and_no_shape_depends_on_one(name, kind):
    _, *inputs = make(name, kind)
    with FakeTensorMode() as mode:
        loss = CASES[name].build()
        fake = [mode.from_tensor(tensor) for tensor in inputs]
        value = loss(fake[0].requires_grad_(), *fake[1:])
        value.backward()
    assert value.shape == ()
    assert fake[0].grad.shape == inputs[0].shape


class _Largest(TorchDispatchMode):
    """Remembers the most elements that a tensor had for which memory was taken."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                held = tensor.untyped_storage().nbytes() // tensor.element_size()
                self.elements = max(self.elements, held)
        return result


@pytest.mark.parametrize(
    ("name", "kind", "options"),
    [
        *((name, kind, {}) for name, kind in EVERY),
        ("LogRatioLoss", "pairs", {"keep_ties": False}),
        ("TripletLoss", "pairs", {"soft_margin": True}),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_small_blocks_hold_little_and_change_nothing(name, kind, options, monkeypatch):
    _, *inputs = make(name, kind, anchors=3, references=30)
    loss = getattr(losses, name)(**options)
    expected = value_and_gradient(loss, *inputs)
    monkeypatch.setitem(chunks._BLOCK_ELEMENTS, "cpu", 1)
    torch.testing.assert_close(value_and_gradient(loss, *inputs), expected)
    with _Largest() as eager:
        value_and_gradient(loss, *inputs)
    with FakeTensorMode() as mode:
        fake = [mode.from_tensor(tensor) for tensor in inputs]
        loss = getattr(losses, name)(**options)
        with _Largest() as unread:
            value_and_gradient(loss, *fake)
    for largest in (eager, unread):
        assert inputs[0].numel() <= largest.elements <= 8 * inputs[0].numel()


@every_loss
@pytest.mark.usefixtures("unchecked")
def test_compiles_as_one_graph_to_the_same_number(name, kind):
    loss, *inputs = make(name, kind)
    expected = value_and_gradient(loss, *inputs)
    torch._dynamo.reset()
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(value_and_gradient(compiled, *inputs), expected)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", [n for n in CASES if CASES[n].selections != BOTH])
def test_refuses_a_selection_of_the_wrong_kind(name):
    (kind,) = CASES[name].selections
    loss, similarity, relevance, selection = make(name, kind)
    wrong = torch.ones_like(selection, dtype=torch.int64 if kind == "pairs" else torch.bool)
    with pytest.raises(TypeError, match="selection"):
        loss(similarity, relevance, wrong)


def test_two_ranks_have_the_mean_loss_and_gradient_of_one_process(run_on_ranks):
    ranks = run_on_ranks(evaluate_my_half, 2)
    for name, kind in EVERY:
        expected = value_and_gradient(*make(name, kind))
        (first, first_grad), (second, second_grad) = (rank[name, kind] for rank in ranks)
        together = (first + second) / 2, torch.cat([first_grad, second_grad]) / 2
        torch.testing.assert_close(together, expected, msg=lambda text, name=name: name + text)


def evaluate_my_half():
    results = {}
    for name, kind in EVERY:
        loss, *inputs = make(name, kind)
        half = [tensor.chunk(2)[dist.get_rank()] for tensor in inputs]
        results[name, kind] = value_and_gradient(loss, *half)
    return results
