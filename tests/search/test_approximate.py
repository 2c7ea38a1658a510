"""Approximate indices against the exact search."""

from functools import partial

import pytest
import torch
import torch.distributed as dist

from ranklight.metrics import ClassAnswers, Scoring, evaluate_retrieval
from ranklight.search import ApproximateSearch, Embedded, ExactSearch, index_recall, shard

KINDS = ("IVFFlat", "IVFPQ", "HNSW")


def clustered(n=3000, d=16, noise=0.4):
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % 100
    centers = torch.randn(100, d, generator=draw)
    return centers[labels] + noise * torch.randn(n, d, generator=draw), labels


@pytest.mark.parametrize("kind", KINDS)
def test_recall_is_the_share_of_the_exact_lists_and_grows_with_effort(kind):
    embeddings, _ = clustered(noise=2)
    recalls = []
    for effort in (1, 60):
        search = partial(ApproximateSearch, kind=kind, effort=effort)
        found = search(embeddings, 10).nearest(embeddings, 10, torch.arange(3000))
        exact = ExactSearch(embeddings, 10).nearest(embeddings, 10, torch.arange(3000))
        shared = [len(set(a) & set(b)) for a, b in zip(found.tolist(), exact.tolist(), strict=True)]
        recalls.append(index_recall(Embedded(embeddings), 10, search, sample=3000))
        assert recalls[-1] == pytest.approx(sum(shared) / 30_000, abs=1e-12)
    assert recalls[0] < recalls[1] <= 1
    assert recalls[1] > (0.6 if kind == "IVFPQ" else 0.95)


@pytest.mark.parametrize("kind", ["IVFFlat", "HNSW"])
def test_with_enough_effort_it_is_the_exact_search(kind):
    embeddings, labels = clustered(400)
    if kind == "IVFFlat":  # a graph's links lead to few of many copies
        embeddings[50:60] = embeddings[40]
    search = partial(ApproximateSearch, kind=kind, effort=400)
    assert index_recall(Embedded(embeddings), 5, search) == 1
    rows = Embedded(embeddings, labels)
    assert evaluate_retrieval(rows, search=search) == evaluate_retrieval(rows)


def test_what_it_misses_is_missing():
    embeddings = torch.tensor([[0.0], [10.0]]).repeat_interleave(100, 0)
    embeddings += torch.rand(200, 1, generator=torch.Generator().manual_seed(0))
    search = ApproximateSearch(embeddings, 200, effort=1)
    (found,) = search.nearest(torch.tensor([[0.5]]), 200)
    there = int((found >= 0).sum())
    assert 1 <= there <= 100
    assert (found[:there] < 100).all()
    assert (found[there:] == -1).all()


def recall_on_a_rank(counts):
    embeddings, labels = clustered(sum(counts))
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))
    index = order.split(list(counts))[dist.get_rank()]
    kept, shards = shard(index)
    own = Embedded(embeddings[index[kept]], labels[index[kept]], shards=shards)
    search = partial(ApproximateSearch, kind="IVFFlat", effort=1000)
    few = partial(ApproximateSearch, kind="IVFFlat", effort=1)
    return (
        index_recall(own, 5, search, 100),
        index_recall(own, 5, few, 100),
        evaluate_retrieval(own, search=search),
    )


def test_on_ranks_each_has_an_index_of_its_share(run_on_ranks):
    counts = (500, 0, 701)
    embeddings, labels = clustered(sum(counts))
    first, *others = run_on_ranks(recall_on_a_rank, 3, counts)
    assert first[0] == 1
    assert 0.2 < first[1] < 1
    assert first[2] == evaluate_retrieval(Embedded(embeddings, labels))
    assert all(other == first for other in others)


def test_bad_input_is_refused(unchecked):
    rows = torch.rand(100, 8)
    with pytest.raises(ValueError, match="not 'LSH'"):
        ApproximateSearch(rows, 5, "LSH")
    with pytest.raises(ValueError, match="effort of 1 or more, not 0"):
        ApproximateSearch(rows, 5, effort=0)
    with pytest.raises(ValueError, match="256 rows or more, there are 100"):
        ApproximateSearch(rows, 5, "IVFPQ")
    with pytest.raises(ValueError, match="asked for 6 neighbours of a search prepared for 5"):
        ApproximateSearch(rows, 5).nearest(rows, 6)


@pytest.mark.parametrize("kind", ["IVFFlat", "HNSW"])
def test_what_is_junk_is_left_out_of_what_an_index_finds(kind):
    embeddings, labels = clustered(400)
    rows = Embedded(embeddings, labels, groups=torch.arange(400) // 100 % 2)
    scoring = Scoring(partial(ClassAnswers, apart="class_and_group"), average_precision=(5,))
    search = partial(ApproximateSearch, kind=kind, effort=400)
    found = evaluate_retrieval(rows, ks=(1, 5), search=search, scoring=scoring)
    assert found == evaluate_retrieval(rows, ks=(1, 5), scoring=scoring)
    assert found != evaluate_retrieval(rows, ks=(1, 5), scoring=Scoring(average_precision=(5,)))
