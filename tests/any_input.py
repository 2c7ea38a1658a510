"""What the tests of any input share: how a call is disturbed, and what may come of it.

Each example is a good call of which one or two arguments were disturbed: another type, shape,
layout or device, values that are no numbers, huge, or out of range. The outcome is compared with
the same call on contiguous copies in float64; or it is a TypeError or ValueError that was raised in
a file of ours.
"""

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
TESTS = Path(__file__).resolve().parent

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
NUMBERS = [-(2**63), -1, 0, 1, 2, 3, 5, 7, 1000, 2**62, True, 1.5, float("nan"), None, "3"]
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
    if kind in ("shape", "layout") and not good.ndim:
        return good[None]
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
        changed |= {name: change(arguments[name]) for name in tensors if arguments[name].ndim}
    numbers = [name for name, value in arguments.items() if isinstance(value, int)]
    for name in draw(st.lists(st.sampled_from(tensors + numbers), max_size=2, unique=True)):
        if name in numbers:
            changed[name] = draw(st.sampled_from(NUMBERS))
        elif changed[name].device.type == "cpu":
            changed[name] = draw(disturbed(changed[name]))
    return changed


# What may come of it.


def outcome(call: Callable[[], Any]) -> Any:
    """What a call returns, or None where it says what it needs."""
    try:
        return call()
    except (TypeError, ValueError) as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        file = Path(where.filename).resolve()
        ours = file.is_relative_to(ROOT) and "site-packages" not in file.parts
        said_by_us = (where.line or "").startswith("raise ")
        if not ours or file.is_relative_to(TESTS) or not said_by_us:
            raise
        return None


def tensors_of(result: Any) -> list[Tensor]:
    if isinstance(result, (Tensor, float, int)):
        return [torch.as_tensor(result)]
    parts = result.values() if isinstance(result, dict) else result
    if isinstance(result, (tuple, list, dict)):
        return [tensor for part in parts for tensor in tensors_of(part)]
    return []


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


def try_disturbed(call: Call) -> None:
    """Disturb a call in every way that the examples draw."""

    @examples
    @given(disturbances(call.arguments))
    def try_one(arguments: dict[str, Any]) -> None:
        check(call, arguments)

    try_one()
