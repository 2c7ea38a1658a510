"""Where a mask is True, as lists, against loops; and losses made of either kind of columns."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ranklight.kernels import packing
from ranklight.kernels.packing import true_columns, where_true
from ranklight.losses import SmoothAPLoss, TripletLoss
from ranklight.miners import SemiHard


@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(1, 9))
def test_places_are_those_of_torch(seed, rows, columns):
    torch.manual_seed(seed)
    mask = torch.rand(rows, columns) < 0.3
    assert torch.equal(torch.stack(where_true(mask), 1), mask.nonzero())


@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(1, 9))
def test_columns_are_those_of_the_mask(seed, rows, columns):
    torch.manual_seed(seed)
    mask = torch.rand(rows, columns) < 0.3
    found = true_columns(mask)
    assert found.shape[1] == mask.sum(1).max()
    assert [[c for c in row if c >= 0] for row in found.tolist()] == [
        row.nonzero().flatten().tolist() for row in mask
    ]


def test_columns_of_nothing():
    assert true_columns(torch.zeros(3, 4, dtype=torch.bool)).shape == (3, 0)
    assert true_columns(torch.zeros(3, 0, dtype=torch.bool)).shape == (3, 0)
    assert true_columns(torch.zeros(0, 4, dtype=torch.bool)).shape == (0, 0)


@pytest.mark.parametrize(
    ("loss", "miner"),
    [
        (SmoothAPLoss(), None),
        (TripletLoss(soft_margin=True), None),
        (TripletLoss(), SemiHard()),
        (TripletLoss(), SemiHard(0.5)),
    ],
)
def test_columns_that_are_not_packed_give_the_same(monkeypatch, loss, miner):
    labels = torch.arange(72) // 4
    relevance = (labels[:, None] == labels).float()
    mask = ~torch.eye(72, dtype=torch.bool)
    outcomes = []
    for eager in (packing.eager_on_cpu, lambda tensor: False):
        monkeypatch.setattr(packing, "eager_on_cpu", eager)
        torch.manual_seed(0)
        similarity = torch.randn(72, 72, dtype=torch.float64).requires_grad_()
        selection = miner(similarity.detach(), relevance, mask) if miner else mask
        cost = loss(similarity, relevance, selection)
        cost.backward()
        outcomes.append((cost, similarity.grad))
    torch.testing.assert_close(*outcomes, rtol=1e-12, atol=1e-12)
