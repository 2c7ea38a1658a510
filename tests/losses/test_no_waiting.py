"""No objective waits for the device in a step: seen without one, on tensors that hold no values."""

from contextlib import nullcontext

import pytest
import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.objectives import METHODS, batches, step

READS_A_VALUE = (DataDependentOutputException, DynamicOutputShapeException)
pytestmark = pytest.mark.usefixtures("unchecked")


class NothingOnTheHost(TorchDispatchMode):
    """Refuses an operation whose result is on the host: it was brought there, or will be copied."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor) and tensor.device.type == "cpu":
                raise RuntimeError(f"{function} has a result on the host")
        return result


@pytest.fixture
def device(monkeypatch):
    """A device of which autograd needs no driver; autocast, which knows none such, is left out.

    Losses differentiate in forward, and autograd would ask a GPU for its context.
    """
    autocast = torch.autocast

    def known(device_type, **options):
        return nullcontext() if device_type == "meta" else autocast(device_type, **options)

    monkeypatch.setattr(torch, "autocast", known)
    return "meta"


def _remembers(objective):
    """Whether a step may differ from the one before: a memory fills, a draw is counted."""
    return any(True for _ in objective.buffers())


@pytest.mark.parametrize("name", METHODS)
def test_the_host_neither_reads_nor_sends_a_value(name, device):
    with FakeTensorMode():
        with torch.device(device):
            objective = METHODS[name].build()
        count = 3 if _remembers(objective) else 1
        for batch in batches(METHODS[name].labels, torch.float32, device, count):
            with NothingOnTheHost():
                loss, gradient, *_ = step(objective, *batch)
        assert loss.device.type == device
        assert gradient.shape == batch[0].shape


@pytest.mark.parametrize(
    ("waits", "seen_as"),
    [
        (lambda z: z.sum().item(), READS_A_VALUE),
        (lambda z: z[z > 0], READS_A_VALUE),
        (lambda z: z if (z > 0).any() else -z, READS_A_VALUE),
        (lambda z: z.cpu(), RuntimeError),
        (lambda z: z * torch.tensor([1.0], device=z.device), AssertionError),
        (lambda z: z * torch.ones(3).to(z.device), RuntimeError),
    ],
)
def test_waiting_is_seen(waits, seen_as, device):
    with FakeTensorMode():
        embeddings = torch.ones(2, 3, device=device)
        with NothingOnTheHost(), pytest.raises(seen_as):
            waits(embeddings)
