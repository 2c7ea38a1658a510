import math
import statistics

import pytest
import torch

from ranklight.metrics import label_distance as module
from ranklight.metrics.label_distance import (
    closeness_ndcg_at_k,
    evaluate_label_distances,
    label_distance_at_k,
)
from ranklight.pairs import LabelCloseness
from ranklight.search import Embedded


def make(n=7, m=40, d=5, seed=0):
    torch.manual_seed(seed)
    return torch.randn(n, d), torch.rand(n, 3), torch.randn(m, d), torch.rand(m, 3)


def sides(queries, query_labels, gallery, gallery_labels):
    return Embedded(queries, query_labels), Embedded(gallery, gallery_labels)


def by_loops(queries, query_labels, gallery, gallery_labels, k):
    """The paper's formulas over Python floats: mean distance and nDCG at k of each query."""
    rows = []
    for query, label in zip(queries.tolist(), query_labels.tolist(), strict=True):
        pairs = sorted(
            (math.dist(query, image), math.dist(label, other))
            for image, other in zip(gallery.tolist(), gallery_labels.tolist(), strict=True)
        )
        found, best = [d for _, d in pairs], sorted(d for _, d in pairs)

        def gain(distances):
            relevances = [-math.log2(d + 1) for d in distances[:k]]
            return sum(2**r / math.log2(i + 2) for i, r in enumerate(relevances))

        rows.append(
            (statistics.mean(found[:k]), gain(found) / gain(best), statistics.mean(best[:k]))
        )
    return [statistics.mean(column) for column in zip(*rows, strict=True)]


@pytest.mark.parametrize("elements", [1, 90, 1 << 22])
def test_scores_are_the_papers(elements, monkeypatch):
    monkeypatch.setattr(module, "_ELEMENTS", elements)
    data = make()
    scores = evaluate_label_distances(*sides(*data), ks=(1, 10, 40, 100))
    for k in (1, 10, 40, 100):
        distance, ndcg, oracle = by_loops(*data, k)
        assert scores[f"label_distance@{k}"] == pytest.approx(distance, rel=1e-5)
        assert scores[f"ndcg@{k}"] == pytest.approx(ndcg, rel=1e-5)
        assert scores[f"label_distance@{k}/oracle"] == pytest.approx(oracle, rel=1e-5)
        assert scores[f"ndcg@{k}/oracle"] == 1
    assert len(scores) == 2 * 3 * 4


def test_chance_is_the_mean_over_all_orders():
    queries, query_labels, gallery, gallery_labels = make(n=3, m=30)
    scores = evaluate_label_distances(
        *sides(queries, query_labels, gallery, gallery_labels), ks=(1, 5)
    )
    torch.manual_seed(1)
    drawn = [
        evaluate_label_distances(
            *sides(torch.randn(3, 5), query_labels, torch.randn(30, 5), gallery_labels), (1, 5)
        )
        for _ in range(300)
    ]
    for name in ("label_distance@1", "label_distance@5", "ndcg@1", "ndcg@5"):
        values = [row[name] for row in drawn]
        error = statistics.stdev(values) / 300**0.5
        assert scores[f"{name}/chance"] == pytest.approx(statistics.mean(values), abs=4 * error)


def test_labels_as_embeddings_reach_the_oracle():
    _, query_labels, _, gallery_labels = make()
    rows = sides(query_labels, query_labels, gallery_labels, gallery_labels)
    scores = evaluate_label_distances(*rows)
    assert scores["label_distance@10"] == pytest.approx(scores["label_distance@10/oracle"])
    assert scores["ndcg@100"] == pytest.approx(1)


def test_any_relevance_and_numbers_as_labels():
    queries, _, gallery, _ = make()
    rows = sides(queries, torch.rand(7), gallery, torch.rand(40))
    by_p1 = evaluate_label_distances(*rows, relevance=LabelCloseness(1.0))
    assert by_p1 == pytest.approx(evaluate_label_distances(*rows))


def test_metrics_of_ranked_relevance():
    ranked = 1 - torch.tensor([[0.0, 3.0, 1.0]])
    ideal = 1 - torch.tensor([[0.0, 1.0, 3.0]])
    assert label_distance_at_k(ranked, 2).item() == 1.5
    discount = 1 / math.log2(3)
    expected = (1 + discount / 4) / (1 + discount / 2)
    assert closeness_ndcg_at_k(ranked, ideal, 2).item() == pytest.approx(expected)


def test_bad_input_is_refused():
    queries, query_labels, gallery, gallery_labels = make()
    with pytest.raises(ValueError, match="the gallery has no rows"):
        evaluate_label_distances(*sides(queries, query_labels, gallery[:0], gallery_labels[:0]))
    with pytest.raises(ValueError, match="at least one K"):
        evaluate_label_distances(*sides(queries, query_labels, gallery, gallery_labels), ks=(0,))
    broken = query_labels.clone()
    broken[4, 1] = torch.nan
    with pytest.raises(ValueError, match="finite numbers; label 4 is NaN"):
        evaluate_label_distances(*sides(queries, broken, gallery, gallery_labels))
    with pytest.raises(ValueError, match="embeddings hold NaN"):
        evaluate_label_distances(*sides(queries * torch.nan, query_labels, gallery, gallery_labels))
