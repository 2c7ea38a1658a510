"""Hinges counted by sorting, against autograd on tables of all triplets."""

import pytest
import torch

from ranklight.kernels import chunks
from ranklight.kernels.orders import dense_ranks
from ranklight.kernels.triplet_hinge import (
    _count_each,
    _count_levels,
    count_violations,
    pair_hinge,
    triplet_hinge,
)


def table(similarity, better, worse, gap):
    """max(0, S_j − S_i + g) at [a, i, j], and which of these are pairs of better and worse."""
    cost = (similarity.unsqueeze(1) - similarity.unsqueeze(2) + gap).relu()
    pair = better.unsqueeze(2) & worse.unsqueeze(1)
    return cost, pair


@pytest.mark.parametrize("levels", [1, 2, 3, 4, 5, 9])
@pytest.mark.parametrize("gap", [0.1, 1.0])
def test_all_triplets(rows, value_and_gradient, levels, gap):
    similarity, relevance, selection = rows(levels, levels)

    def equation(s):
        cost, pair = table(s, selection, selection, gap)
        pair &= relevance.unsqueeze(2) > relevance.unsqueeze(1)
        return torch.where(pair, cost, 0).sum((1, 2))

    kernel = value_and_gradient(
        lambda s: triplet_hinge(s, relevance, selection, gap=gap), similarity
    )
    torch.testing.assert_close(kernel, value_and_gradient(equation, similarity))
    cost, pair = table(similarity, selection, selection, gap)
    pair &= relevance.unsqueeze(2) > relevance.unsqueeze(1)
    _, active, triplets, pairs = triplet_hinge(similarity, relevance, selection, gap=gap)
    assert torch.equal(active.long(), (pair & (cost > 0)).sum((1, 2)))
    assert torch.equal(triplets, pair.sum((1, 2)))
    assert torch.equal(pairs, pair.any(2).sum(1))


@pytest.mark.parametrize("levels", [1, 2, 5])
@pytest.mark.parametrize("elements", [1, 1 << 20])
def test_each_triplet_looked_at_counts_as_sorting_does(rows, monkeypatch, levels, elements):
    monkeypatch.setitem(chunks._BLOCK_ELEMENTS, "cpu", elements)
    similarity, relevance, selection = rows(3, levels)
    looked_at = _count_each(similarity, relevance, selection, 0.3)
    level = dense_ranks(relevance, selection)
    assert looked_at[1].sum() > 0 or levels == 1
    for one, other in zip(looked_at, _count_levels(similarity, level, selection, 0.3), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("references", [9, 70])
@pytest.mark.parametrize("weighted", [False, True])
def test_pairs_of_two_sides(rows, value_and_gradient, references, weighted):
    similarity, relevance, selection = rows(0, 2, references=references)
    positive = selection & (relevance > 0) & (torch.rand(relevance.shape) < 0.2)
    negative = selection & (relevance == 0)
    weight = torch.rand(similarity.shape, dtype=torch.float64)

    def equation(s):
        cost, pair = table(s, positive, negative, 0.3)
        weights = weight.unsqueeze(2) if weighted else 1
        return torch.where(pair, cost * weights, 0).sum((1, 2))

    weights = (weight,) if weighted else ()
    kernel = value_and_gradient(
        lambda s: pair_hinge(s, positive, negative, *weights, margin=0.3), similarity
    )
    torch.testing.assert_close(kernel, value_and_gradient(equation, similarity))


@pytest.mark.parametrize("references", [9, 70])
def test_violations_of_each_positive(rows, references):
    similarity, relevance, selection = rows(1, 2, references=references)
    positive, negative = selection & (relevance > 0), selection & (relevance == 0)
    cost, pair = table(similarity, positive, negative, 0.5)
    expected = (pair & (cost > 0)).sum(2)
    assert torch.equal(count_violations(similarity, positive, negative, 0.5).long(), expected)


def test_a_gap_is_of_the_precision_of_the_similarity(rows):
    similarity, relevance, selection = rows(2, 2)
    gap = 0.1
    cost, *_ = triplet_hinge(similarity, relevance, selection, gap=gap)
    triplets, pair = table(similarity, selection, selection, gap)
    pair &= relevance.unsqueeze(2) > relevance.unsqueeze(1)
    expected = torch.where(pair, triplets, 0).sum((1, 2))
    torch.testing.assert_close(cost, expected, rtol=1e-14, atol=1e-14)
