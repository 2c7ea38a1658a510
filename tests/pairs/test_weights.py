"""Pair weights by autograd against the closed formulas of the multi-similarity paper."""

import math

import pytest
import torch

from ranklight.losses import ContrastiveLoss, MultiSimilarityLoss, TripletLoss
from ranklight.pairs.weights import pair_weights

SIMILARITY = torch.tensor([[0.9, 0.3, 0.6, 0.4], [0.7, 0.75, 0.2, -0.3]], dtype=torch.float64)
RELEVANCE = torch.tensor([[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
ALL = torch.ones(2, 4, dtype=torch.bool)
PAIRS = [(i, j) for i in range(2) for j in range(4)]


def sides(i):
    row = list(zip(SIMILARITY[i].tolist(), RELEVANCE[i].tolist(), strict=True))
    return [s for s, r in row if r], [s for s, r in row if not r]


def test_multi_similarity():
    alpha, beta, base = 2.0, 40.0, 0.5
    weights = pair_weights(MultiSimilarityLoss(alpha, beta, base), SIMILARITY, RELEVANCE, ALL)
    for i, j in PAIRS:
        s, (positives, negatives) = SIMILARITY[i, j].item(), sides(i)
        if RELEVANCE[i, j]:
            others = sum(math.exp(-alpha * (k - s)) for k in positives)
            wanted = 1 / (math.exp(-alpha * (base - s)) + others)
        else:
            wanted = 1 / (
                math.exp(beta * (base - s)) + sum(math.exp(beta * (k - s)) for k in negatives)
            )
        assert weights[i, j].item() == pytest.approx(wanted / len(SIMILARITY))


def test_contrastive_weighs_a_pair_beyond_its_margin_as_any_other():
    weights = pair_weights(ContrastiveLoss(0.8, 0.5, "anchors"), SIMILARITY, RELEVANCE, ALL)
    for i, j in PAIRS:
        s = SIMILARITY[i, j].item()
        pays = s < 0.8 if RELEVANCE[i, j] else s > 0.5
        assert weights[i, j].item() == pays / 2


def test_triplet_weighs_a_pair_by_the_pairs_of_the_other_kind_that_it_is_in_conflict_with():
    weights = pair_weights(TripletLoss(0.2, "all"), SIMILARITY, RELEVANCE, ALL)
    triplets = 2 * 2 + 1 * 3
    for i, j in PAIRS:
        s, (positives, negatives) = SIMILARITY[i, j].item(), sides(i)
        if RELEVANCE[i, j]:
            conflicts = sum(s < k + 0.1 for k in negatives)
        else:
            conflicts = sum(k < s + 0.1 for k in positives)
        assert weights[i, j].item() == pytest.approx(2 * conflicts / triplets)


def test_leaves_the_similarity_as_it_was():
    similarity = SIMILARITY.clone().requires_grad_()
    pair_weights(ContrastiveLoss(), similarity, RELEVANCE, ALL)
    assert similarity.grad is None
