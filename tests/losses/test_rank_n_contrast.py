"""Rank-N-Contrast against loops over pairs, written from the paper."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ranklight.losses import RankNContrastLoss


def equation(similarity, relevance, selection, temperature=2.0):
    costs = []
    for s, r, chosen in zip(
        similarity.tolist(), relevance.tolist(), selection.tolist(), strict=True
    ):
        logit = [-math.sqrt(max(0.0, 2 - 2 * x) + 1e-6) / temperature for x in s]
        known = [i for i in range(len(s)) if chosen[i]]
        for i in known:
            no_closer = [logit[k] for k in known if r[k] <= r[i]]
            largest = max(no_closer)
            total = largest + math.log(sum(math.exp(x - largest) for x in no_closer))
            costs.append(total - logit[i])
    return sum(costs) / max(1, len(costs))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**31),
    st.integers(1, 5),
    st.integers(1, 9),
    st.sampled_from([1, 2, 4, 50]),
    st.sampled_from([1.0, 1e3]),
)
def test_is_its_equation(compared, seed, anchors, references, levels, spread):
    inputs = compared(seed, anchors, references, levels, spread)
    loss = RankNContrastLoss()(*inputs)
    assert loss.item() == pytest.approx(equation(*inputs), rel=1e-9, abs=1e-12)


def test_default_temperature_is_the_released_code_s():
    assert RankNContrastLoss().temperature == 2.0


def test_duplicates_have_a_finite_gradient():
    similarity = torch.tensor([[1.0, 1.0, 0.3, 1 + 1e-6]], requires_grad=True)
    relevance = torch.tensor([[1.0, 0.5, 0.2, 1.0]])
    RankNContrastLoss()(similarity, relevance, torch.ones(1, 4).bool()).backward()
    assert similarity.grad.isfinite().all()
