"""Spearman's correlation against scipy's."""

import pytest
import torch
from scipy.stats import spearmanr

from ranklight.metrics import (
    evaluate_rank_correlation,
    rank_correlation,
    score_rank_correlation,
)
from ranklight.search import Embedded


def make(n=7, m=40, d=5):
    torch.manual_seed(0)
    return Embedded(torch.randn(n, d), torch.rand(n, 3)), Embedded(
        torch.randn(m, d), torch.rand(m, 3)
    )


def test_it_is_scipys_with_ties():
    torch.manual_seed(0)
    ours, theirs = torch.rand(5, 30), torch.randint(0, 4, (5, 30)).float()
    theirs[0, :] = ours[0]
    expected = [spearmanr(a, b).statistic for a, b in zip(ours, theirs, strict=True)]
    assert rank_correlation(ours, theirs).tolist() == pytest.approx(expected)
    assert rank_correlation(ours, theirs)[0] == pytest.approx(1)


def test_what_cannot_be_ranked():
    varied, constant = torch.rand(1, 9), torch.ones(1, 9)
    assert rank_correlation(constant, varied).item() == 0
    assert rank_correlation(varied, constant).isnan().item()


@pytest.mark.parametrize("elements", [1, 90, 1 << 22])
def test_the_whole_gallery_is_compared(elements, monkeypatch):
    monkeypatch.setattr("ranklight.metrics.spearman._ELEMENTS", elements)
    queries, gallery = make()
    expected = [
        spearmanr(
            (query - gallery.embeddings).norm(dim=1), (label - gallery.labels).norm(dim=1)
        ).statistic
        for query, label in zip(queries.embeddings, queries.labels, strict=True)
    ]
    assert score_rank_correlation(queries, gallery).tolist() == pytest.approx(expected)
    mean = evaluate_rank_correlation(queries, gallery)["spearman"]
    assert mean == pytest.approx(sum(expected) / len(expected))


def test_labels_as_embeddings_reach_the_oracle():
    sides = (Embedded(rows.labels, rows.labels) for rows in make())
    assert evaluate_rank_correlation(*sides) == pytest.approx(
        {"spearman": 1, "spearman/oracle": 1, "spearman/chance": 0}
    )
