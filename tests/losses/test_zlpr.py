"""ZLPR against its two sums, and timm's."""

import math

import pytest
import timm.loss
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ranklight.losses import LSEPLoss, ZLPRLoss


def log1p_sum(exponents):
    largest = max([0.0, *exponents])
    return largest + math.log(math.exp(-largest) + sum(math.exp(x - largest) for x in exponents))


def equation(rows):
    return sum(log1p_sum(n) + log1p_sum([-v for v in p]) for p, n in rows) / len(rows)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**31),
    st.integers(1, 6),
    st.integers(1, 9),
    st.sampled_from([1.0, 1e3]),
    st.booleans(),
)
def test_is_its_equation(multi_hot, sides, seed, rows, labels, spread, ties):
    inputs = multi_hot(seed, rows, labels, spread, ties)
    assert ZLPRLoss()(*inputs).item() == pytest.approx(equation(sides(*inputs)), rel=1e-11)


def test_gradient(multi_hot):
    similarity, relevance, selection = multi_hot(0, 5, 6)
    assert torch.autograd.gradcheck(lambda s: ZLPRLoss()(s, relevance, selection), (similarity,))


def test_rows_of_one_kind_are_pushed_to_their_side_of_0(multi_hot):
    similarity, relevance, selection = multi_hot(1, 5, 6)
    ZLPRLoss()(similarity, relevance, selection).backward()
    assert (similarity.grad[0][selection[0]] > 0).all()
    assert (similarity.grad[1][selection[1]] < 0).all()
    assert (similarity.grad[2] == 0).all()


def test_is_lsep_with_a_label_of_score_0_on_each_side(multi_hot):
    similarity, relevance, selection = multi_hot(2, 4, 6)
    zeros, ones = torch.zeros(4, 1, dtype=torch.float64), torch.ones(4, 1, dtype=torch.float64)
    known = ones.bool()
    with_zeros = (
        torch.cat([similarity, zeros, zeros], 1),
        torch.cat([relevance, ones, zeros], 1),
        torch.cat([selection, known, known], 1),
    )
    rows = zip(*with_zeros, similarity, relevance, selection, strict=True)
    for s0, r0, m0, s, r, m in rows:
        lsep = LSEPLoss()(s0[None], r0[None], m0[None])
        plain = ZLPRLoss()(s[None], r[None], m[None])
        sums = torch.expm1(lsep)
        torch.testing.assert_close(torch.log(sums), plain)


def test_is_timms(multi_hot):
    peer = getattr(timm.loss, "ZlprLoss", None)
    if peer is None:
        pytest.skip("this timm has no ZLPR")
    similarity, relevance, _ = multi_hot(3, 6, 9)
    similarity, relevance = similarity.float(), relevance.float()
    loss = ZLPRLoss()(similarity, relevance, relevance >= 0)
    torch.testing.assert_close(loss, peer()(similarity, relevance))
