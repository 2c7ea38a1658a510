"""Every loss with every kind of selection, every miner: nothing waits for the GPU, which computes
what the CPU does, in half precision too."""

import pytest
import torch
import torch.distributed as dist

from ranklight.kernels.distributed import all_gather
from tests.objectives import METHODS, batches, build, step

every_method = pytest.mark.parametrize("name", METHODS)
every_exact_method = pytest.mark.parametrize(
    "name", [n for n, m in METHODS.items() if not m.random]
)


def steps(name, dtype, device):
    objective = build(name, dtype, device)
    return [step(objective, *b) for b in batches(METHODS[name].labels, dtype, device)][-1]


def assert_close(found, expected, rtol):
    """Up to a part of each tensor's largest element: sums of another order cancel differently."""
    for ours, theirs in zip(found, expected, strict=True):
        theirs = theirs.to(ours)
        largest = float(theirs.abs().max())
        torch.testing.assert_close(ours, theirs, rtol=rtol, atol=rtol * largest)


def test_waiting_is_seen(device, waiting_is_an_error):
    value = torch.ones((), device=device)
    with waiting_is_an_error(), pytest.raises(RuntimeError, match="synchronizing"):
        value.item()


@every_method
def test_no_step_waits_for_the_gpu(name, device, waiting_is_an_error):
    objective = build(name, torch.float32, device)
    first, *rest = batches(METHODS[name].labels, torch.float32, device)
    step(objective, *first)
    with waiting_is_an_error():
        results = [step(objective, *batch) for batch in rest]
    assert all(tensor.isfinite().all() for tensor in results[-1])


@every_exact_method
@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_the_gpu_computes_what_the_cpu_does(name, dtype, rtol, device):
    assert_close(steps(name, dtype, device), steps(name, dtype, torch.device("cpu")), rtol)


@every_exact_method
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_does_not_change_it(name, dtype, device):
    """Beside float32 on the same rounded embeddings; the gradient is rounded to their type."""
    rounding = torch.finfo(dtype).eps
    found, expected = build(name, torch.float32, device), build(name, torch.float32, device)
    for embeddings, labels, index in batches(METHODS[name].labels, torch.float32, device):
        rounded = embeddings.to(dtype)
        with torch.autocast(device.type, dtype):
            half = step(found, rounded, labels, index)
        full = step(expected, rounded.float(), labels, index)
    assert all(tensor.isfinite().all() for tensor in half)
    assert half[0].dtype == torch.float32
    assert_close(half[:1], full[:1], 1e-2 if list(found.parameters()) else 1e-4)
    assert_close(half[1:2], full[1:2], 16 * rounding if list(found.parameters()) else 2 * rounding)


def test_nccl_with_one_process_changes_nothing(device, tmp_path, waiting_is_an_error):
    exact = [name for name, method in METHODS.items() if not method.random]
    alone = {name: steps(name, torch.float64, device) for name in exact}
    torch.cuda.set_device(device)
    group = f"file://{tmp_path / 'group'}"
    dist.init_process_group("nccl", init_method=group, rank=0, world_size=1, device_id=device)
    try:
        grouped = {name: steps(name, torch.float64, device) for name in exact}
        with_group = build("MagnetLoss, KeepAll", torch.float32, device)
        (batch,) = batches("classes", torch.float32, device, 1)
        with waiting_is_an_error():
            step(with_group, *batch)
    finally:
        dist.destroy_process_group()
    for name in exact:
        assert_close(grouped[name], alone[name], 1e-9)


def test_embeddings_are_gathered_with_their_gradient_on_nccl(device, tmp_path):
    torch.cuda.set_device(device)
    group = f"file://{tmp_path / 'group'}"
    dist.init_process_group("nccl", init_method=group, rank=0, world_size=1, device_id=device)
    try:
        embeddings = torch.randn(4, 3, device=device, requires_grad=True)
        gathered = all_gather(embeddings).flatten(0, 1)
        gathered.square().sum().backward()
    finally:
        dist.destroy_process_group()
    assert torch.equal(gathered, embeddings)
    assert torch.equal(embeddings.grad, 2 * embeddings.detach())
