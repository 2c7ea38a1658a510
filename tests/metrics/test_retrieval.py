"""The scores against their definitions in loops and against pytorch-metric-learning."""

import math
from functools import partial

import pytest
import torch
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

from ranklight.metrics import (
    evaluate_retrieval,
    map_at_r,
    r_precision,
    recall_at_k,
    score_retrieval,
)
from ranklight.search import Embedded, ExactSearch
from ranklight.search.backends import top_k_by_torch

KS = (1, 2, 4, 8)


def ranking(kind, n=150, d=8):
    """Embeddings and labels."""
    generator = torch.Generator().manual_seed(len(kind))
    embeddings = torch.randn(n, d, generator=generator)
    labels = torch.randint(0, 12, (n,), generator=generator)
    if kind == "tied":
        embeddings = torch.randint(-1, 2, (n, d), generator=generator).float()
    if kind == "duplicated":
        embeddings = embeddings[torch.randint(0, n // 3, (n,), generator=generator)]
    if kind == "uneven":
        labels = torch.cat([torch.zeros(n // 2), torch.arange(1, n - n // 2 + 1) // 3]).long()
    if kind == "large labels":
        labels = labels + 2**24
    return embeddings, labels


def by_definition(embeddings, labels, ks, gallery=None, gallery_labels=None):
    """Every score as a loop over queries and ranks."""
    among = embeddings if gallery is None else gallery
    among_labels = (labels if gallery_labels is None else gallery_labels).tolist()
    sums, queries = dict.fromkeys([*(f"recall@{k}" for k in ks), "r_precision", "map@r"], 0.0), 0
    for i, (query, label) in enumerate(zip(embeddings.double(), labels.tolist(), strict=True)):
        others = [j for j in range(len(among)) if gallery is not None or j != i]
        distance = (among.double() - query).square().sum(1).tolist()
        ranked = sorted(others, key=lambda j, distance=distance: (distance[j], j))
        hits = [among_labels[j] == label for j in ranked]
        r = sum(hits)
        if r == 0:
            continue
        queries += 1
        for k in ks:
            sums[f"recall@{k}"] += any(hits[:k])
        sums["r_precision"] += sum(hits[:r]) / r
        sums["map@r"] += sum(sum(hits[: j + 1]) / (j + 1) for j in range(r) if hits[j]) / r
    return {name: total / queries for name, total in sums.items()} | {"queries": queries}


@pytest.mark.parametrize("kind", ["random", "tied", "duplicated", "uneven", "large labels"])
@pytest.mark.parametrize("backend", [None, top_k_by_torch])
def test_agrees_with_the_definition(kind, backend):
    embeddings, labels = ranking(kind)
    search = partial(ExactSearch, backend=backend)
    scores = evaluate_retrieval(Embedded(embeddings, labels), ks=KS, search=search)
    assert scores == pytest.approx(by_definition(embeddings, labels, KS), abs=1e-12)


@pytest.mark.parametrize("kind", ["random", "tied", "duplicated", "uneven"])
def test_separate_gallery_agrees_with_the_definition(kind):
    embeddings, labels = ranking(kind)
    queries, gallery = (embeddings[:40], labels[:40] + 3), (embeddings[40:], labels[40:])
    scores = evaluate_retrieval(Embedded(*queries), Embedded(*gallery), KS)
    assert scores == pytest.approx(by_definition(*queries, KS, *gallery), abs=1e-12)


@pytest.mark.parametrize("kind", ["random", "uneven"])
@pytest.mark.parametrize("separate", [False, True])
def test_agrees_with_pytorch_metric_learning(kind, separate):
    embeddings, labels = ranking(kind, n=400)
    embeddings = torch.nn.functional.normalize(embeddings, dim=1)
    peer = AccuracyCalculator(
        include=("precision_at_1", "r_precision", "mean_average_precision_at_r"),
        k="max_bin_count",
        device=torch.device("cpu"),
    )
    gallery = (embeddings[100:], labels[100:]) if separate else (None, None)
    query = (embeddings[:100], labels[:100]) if separate else (embeddings, labels)
    theirs = peer.get_accuracy(*query, *gallery)
    ours = evaluate_retrieval(Embedded(*query), Embedded(*gallery) if separate else None, KS)
    assert ours["recall@1"] == pytest.approx(theirs["precision_at_1"], abs=1e-6)
    assert ours["r_precision"] == pytest.approx(theirs["r_precision"], abs=1e-6)
    assert ours["map@r"] == pytest.approx(theirs["mean_average_precision_at_r"], abs=1e-6)


def test_labels_above_2_to_the_24_stay_apart():
    embeddings = torch.tensor([[0.0], [1.0], [10.0], [11.0]])
    labels = torch.tensor([2**24, 2**24 + 1, 2**24, 2**24 + 1])
    assert evaluate_retrieval(Embedded(embeddings, labels), ks=(1, 2, 3)) == {
        "recall@1": 0.0,
        "recall@2": 0.5,
        "recall@3": 1.0,
        "r_precision": 0.0,
        "map@r": 0.0,
        "queries": 4,
    }


def test_a_class_with_one_image_is_in_the_gallery_and_no_query():
    embeddings = torch.tensor([[0.0], [0.1], [0.3]])
    scores = evaluate_retrieval(Embedded(embeddings, torch.tensor([0, 7, 0])), ks=(1, 2))
    assert scores == {
        "recall@1": 0.0,
        "recall@2": 1.0,
        "r_precision": 0.0,
        "map@r": 0.0,
        "queries": 2,
    }
    alone = evaluate_retrieval(Embedded(embeddings, torch.tensor([0, 1, 2])))
    assert alone["queries"] == 0
    assert math.isnan(alone["recall@1"])


def test_k_beyond_the_gallery_looks_at_all_of_it():
    rows = Embedded(torch.randn(6, 2), torch.tensor([0, 0, 0, 1, 1, 1]))
    scores = evaluate_retrieval(rows, ks=(1, 100))
    assert scores["recall@100"] == 1.0


def test_recall_is_the_hit_rate():
    ranked = torch.tensor([[0, 1, 1], [0, 0, 0], [1, 0, 0]]).bool()
    relevant = torch.tensor([3, 2, 0])
    assert recall_at_k(ranked, relevant, 1)[:2].tolist() == [0, 0]
    assert recall_at_k(ranked, relevant, 3)[:2].tolist() == [1, 0]
    assert recall_at_k(ranked, relevant, 3)[2].isnan()


def test_scores_of_a_ranking_written_out():
    ranked = torch.tensor([[1, 0, 1, 1], [0, 1, 1, 1]]).float()
    relevant = torch.tensor([3, 2])
    assert r_precision(ranked, relevant).tolist() == [2 / 3, 1 / 2]
    assert map_at_r(ranked, relevant).tolist() == pytest.approx([(1 + 2 / 3) / 3, (1 / 2) / 2])
    assert map_at_r(ranked, torch.tensor([0, 0])).isnan().all()


def test_a_list_that_is_too_short_is_refused():
    ranked = torch.ones(2, 3).bool()
    with pytest.raises(ValueError, match="R-precision looks at 4 neighbours, the ranking holds 3"):
        r_precision(ranked, torch.tensor([1, 4]))
    with pytest.raises(ValueError, match="recall@5"):
        recall_at_k(ranked, torch.tensor([1, 1]), 5)


def test_scores_of_queries_do_not_depend_on_the_blocks(monkeypatch):
    embeddings, labels = ranking("uneven")
    whole = score_retrieval(Embedded(embeddings, labels))
    monkeypatch.setattr("ranklight.search.neighbours._ELEMENTS", 64)
    blocked = score_retrieval(Embedded(embeddings, labels))
    for name, score in whole.items():
        assert torch.equal(score.nan_to_num(-1), blocked[name].nan_to_num(-1))


def test_progress_counts_every_query_once():
    embeddings, labels = ranking("random")
    done = []
    evaluate_retrieval(Embedded(embeddings, labels), advance=done.append)
    assert sum(done) == len(labels)


def test_says_what_is_wrong():
    embeddings, labels = ranking("random")
    with pytest.raises(ValueError, match="at least one K"):
        evaluate_retrieval(Embedded(embeddings, labels), ks=(0, 1))
    embeddings[5] = torch.nan
    with pytest.raises(ValueError, match="1 of 150 embeddings hold NaN"):
        evaluate_retrieval(Embedded(embeddings, labels))
