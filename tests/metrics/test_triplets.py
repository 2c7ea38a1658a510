import math

import pytest
import torch

from ranklight.metrics import (
    evaluate_triplets,
    read_triplets,
    similarity_precision,
    triplet_score_at_k,
)
from ranklight.metrics import triplets as module
from ranklight.search import Embedded


def make(seed=0, t=200):
    torch.manual_seed(seed)
    queries, gallery = torch.randn(6, 4), torch.randn(50, 4)
    query = torch.randint(0, 6, (t, 1))
    return queries, gallery, torch.cat([query, torch.rand(t, 50).topk(2).indices], 1)


def by_loops(queries, gallery, triplets, k):
    right, score = 0, 0
    for q, p, n in triplets.tolist():
        distances = [math.dist(queries[q].tolist(), image) for image in gallery.tolist()]
        nearest = sorted(range(len(distances)), key=lambda j: (distances[j], j))[:k]
        right += distances[p] < distances[n]
        if p in nearest or n in nearest:
            score += 1 if distances[p] < distances[n] else -1
    return right / len(triplets), score


@pytest.mark.parametrize("rows", [1, 7, 1024])
@pytest.mark.parametrize("k", [1, 10, 60])
def test_scores_are_the_papers(k, rows, monkeypatch):
    monkeypatch.setattr(module, "_ROWS", rows)
    precision, score = by_loops(*make(), k)
    queries, gallery, triplets = make()
    found = evaluate_triplets(Embedded(queries), Embedded(gallery), triplets, k=k)
    assert found == {"similarity_precision": precision, f"score@{k}": score, "triplets": 200}


def test_equal_distances_are_not_in_order():
    queries, gallery = Embedded(torch.zeros(1, 2)), Embedded(torch.ones(4, 2))
    triplets = torch.tensor([[0, 1, 2]])
    assert similarity_precision(queries, gallery, triplets) == 0
    assert triplet_score_at_k(queries, gallery, triplets, k=2) == -1
    assert triplet_score_at_k(queries, gallery, triplets, k=1) == 0


def test_triplets_from_a_file(tmp_path):
    file = tmp_path / "triplets.csv"
    file.write_text("query,positive,negative\nq1,a,b\nq0,b, c\n")
    read = read_triplets(str(file), ["q0", "q1"], ["a", "b", "c"])
    assert read.tolist() == [[1, 0, 1], [0, 1, 2]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("query,positive,negative\nq0,a,b\nq0,a,x\n", r"triplets.csv, line 3: q0,a,x is not"),
        ("query,positive,negative\na,a,b\n", "line 2: a,a,b is not a known query"),
        ("query,positive,negative\nq0,a\n", "line 2: q0,a is not"),
        ("query,negative,positive\nq0,a,b\n", "must begin with query,positive,negative"),
        ("query,positive,negative\n", "holds no triplet"),
        ("", "must begin with"),
    ],
)
def test_bad_files_are_refused(tmp_path, text, message):
    file = tmp_path / "triplets.csv"
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_triplets(str(file), ["q0"], ["a", "b"])


def test_bad_input_is_refused():
    queries, gallery, triplets = make()
    broken, queries, gallery = map(Embedded, (queries * torch.nan, queries, gallery))
    with pytest.raises(ValueError, match="no triplets"):
        evaluate_triplets(queries, gallery, triplets[:0])
    with pytest.raises(ValueError, match="K of 1 or more"):
        triplet_score_at_k(queries, gallery, triplets, 0)
    with pytest.raises(ValueError, match="NaN"):
        evaluate_triplets(broken, gallery, triplets)
