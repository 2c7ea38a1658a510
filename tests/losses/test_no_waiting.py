"""No objective waits for the device in a step: seen without one, on tensors that hold no values."""

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


def built_on(device, name):
    with torch.device(device):
        return METHODS[name].build()


@pytest.mark.parametrize("name", METHODS)
def test_the_host_neither_reads_nor_sends_a_value(name):
    with FakeTensorMode():
        objective = built_on("cuda", name)
        for batch in batches(METHODS[name].labels, torch.float32, "cuda"):
            with NothingOnTheHost():
                loss = objective.evaluate(*batch).loss
        assert loss.device.type == "cuda"


@pytest.mark.parametrize("name", METHODS)
def test_nor_does_it_read_one_on_the_way_back(name):
    with FakeTensorMode():
        objective = built_on("cpu", name)
        (batch,) = batches(METHODS[name].labels, torch.float32, "cpu", 1)
        _, gradient, *_ = step(objective, *batch)
        assert gradient.shape == batch[0].shape


@pytest.mark.parametrize(
    ("waits", "seen_as"),
    [
        (lambda z: z.sum().item(), READS_A_VALUE),
        (lambda z: z[z > 0], READS_A_VALUE),
        (lambda z: z if (z > 0).any() else -z, READS_A_VALUE),
        (lambda z: z.cpu(), RuntimeError),
        (lambda z: z * torch.tensor([1.0], device=z.device), RuntimeError),
        (lambda z: z * torch.ones(3).to(z.device), RuntimeError),
    ],
)
def test_waiting_is_seen(waits, seen_as):
    with FakeTensorMode():
        embeddings = torch.ones(2, 3, device="cuda")
        with NothingOnTheHost(), pytest.raises(seen_as):
            waits(embeddings)
