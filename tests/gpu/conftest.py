"""Everything in this folder needs a GPU, and is skipped without one."""

import contextlib
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    if not torch.cuda.is_available():
        skip = pytest.mark.skip(reason="needs a CUDA device; none is visible")
        for item in items:
            if HERE in item.path.parents:
                item.add_marker(skip)


@pytest.fixture(scope="session")
def device():
    return torch.device("cuda", 0)


@pytest.fixture(scope="session")
def waiting_is_an_error():
    """A context in which an operation that makes the host wait for the device raises."""

    @contextlib.contextmanager
    def refuse():
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")

    return refuse
