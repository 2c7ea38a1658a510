"""Searches and scores of galleries that ranks share, against one process, to the bit."""

from functools import partial

import pytest
import torch
import torch.distributed as dist

from ranklight.metrics import (
    ClassAnswers,
    GradedAnswers,
    ListedAnswers,
    Scoring,
    average_by_class,
    average_retrieval,
    evaluate_clustering,
    evaluate_label_distances,
    evaluate_retrieval,
    evaluate_triplets,
    score_rank_correlation,
    score_retrieval,
)
from ranklight.pairs import SameClass
from ranklight.search import Embedded, ExactSearch, Shards, neighbour_lists, shard
from ranklight.search.backends import top_k_by_faiss, top_k_by_torch

KINDS = ("spread", "tied", "copies")
KS = (1, 5, 70)
SHARES = {
    "one": (61,),
    "not divisible": (30, 31),
    "a rank without rows": (40, 0, 9, 12),
    "all on the last": (0, 61),
}


def images(kind, n):
    """Embeddings and labels of two data sets."""
    draw = torch.Generator().manual_seed(n)
    embeddings = torch.randn(2 * n, 6, generator=draw)
    if kind == "tied":
        embeddings = torch.randint(-1, 2, (2 * n, 6), generator=draw).float()
    if kind == "copies":
        embeddings = embeddings[torch.randint(0, 5, (2 * n,), generator=draw)]
    labels = torch.randint(0, 7, (2 * n,), generator=draw)
    return embeddings[:n], labels[:n], embeddings[n:], labels[n:]


def own_rows(counts):
    """This rank's rows in an order that is not that of the ranks."""
    order = torch.randperm(sum(counts), generator=torch.Generator().manual_seed(1))
    return order.split(list(counts))[dist.get_rank()]


def share(counts):
    index = own_rows(counts)
    kept, shards = shard(index)
    return index[kept], shards


def lists_on_a_rank(counts):
    return {kind: lists_of(kind, counts) for kind in KINDS}


def lists_of(kind, counts):
    embeddings, _, gallery, _ = images(kind, sum(counts))
    own, shards = share(counts)
    queries = Embedded(embeddings[own], shards=shards)
    # the first rank asks nothing, and no two images need equally many
    asked = own % 9 if dist.get_rank() else torch.zeros_like(own)
    results = {}
    for name, backend in (("torch", top_k_by_torch), ("faiss", top_k_by_faiss)):
        search = partial(ExactSearch, backend=backend)
        for k in KS:
            among = Embedded(gallery[own], shards=shards)
            for where, of in (("other", among), ("own", None)):
                lists = neighbour_lists(queries, of, asked.clamp(max=k), search)
                found = [(own[row], found) for row, found in lists]
                results[name, k, where] = own[asked > 0], found
    return results


@pytest.mark.parametrize("counts", SHARES.values(), ids=SHARES)
def test_lists_are_those_of_one_process(run_on_ranks, counts):
    ranks = run_on_ranks(lists_on_a_rank, len(counts), counts)
    for kind in KINDS:
        embeddings, _, gallery, _ = images(kind, sum(counts))
        for rank in ranks:
            for (_, _, where), (asked, blocks) in rank[kind].items():
                among = ExactSearch(embeddings if where == "own" else gallery, 70, top_k_by_torch)
                for queries, found in blocks:
                    own = queries if where == "own" else None
                    expected = among.nearest(embeddings[queries], found.shape[1], own)
                    assert torch.equal(found, expected)
                answered = [query for queries, _ in blocks for query in queries.tolist()]
                assert sorted(answered) == sorted(asked.tolist())


def scores_on_a_rank(counts, gallery_counts):
    return {kind: scores_of(kind, counts, gallery_counts) for kind in KINDS}


def scores_of(kind, counts, gallery_counts):
    n, m = sum(counts), sum(gallery_counts)
    embeddings, labels, _, _ = images(kind, n)
    _, _, gallery, gallery_labels = images(kind, m)
    own, shards = share(counts)
    among, gallery_shards = share(gallery_counts)
    poses, gallery_poses = labels[:, None].double() / 7, gallery_labels[:, None].double() / 7
    queries = Embedded(embeddings[own], labels[own], shards=shards)
    others = Embedded(gallery[among], gallery_labels[among], shards=gallery_shards)
    posed = Embedded(embeddings[own], poses[own], shards=shards)
    posed_gallery = Embedded(gallery[among], gallery_poses[among], shards=gallery_shards)
    return {
        "rows": own,
        "queries": score_retrieval(queries),
        "inside": evaluate_retrieval(queries),
        "clusters": evaluate_clustering(queries),
        "gallery": evaluate_retrieval(queries, others, (1, 3)),
        "label distances": evaluate_label_distances(posed, posed_gallery, (1, 9)),
        **protocols(grouped(queries), grouped(others)),
        "spearman": score_rank_correlation(posed, posed_gallery),
        "triplets": evaluate_triplets(queries, others, triplets(n, m), k=4),
    }


def grouped(rows):
    """The same rows with ids of their own, in three groups and some in none."""
    own = rows.shards.own
    return Embedded(rows.embeddings, rows.labels, own, rows.shards, own % 4 - 1)


def protocols(queries, gallery):
    """Scores of all kinds of answers; the first queries are part of the gallery."""
    draw = torch.Generator().manual_seed(4)
    sizes = queries.shards.size, gallery.shards.size
    drawn = torch.stack([torch.randint(0, size, (60,), generator=draw) for size in sizes], 1)
    drawn = torch.unique(drawn, dim=0)
    kinds = {
        "group": partial(ClassAnswers, apart="group"),
        "class and group": partial(ClassAnswers, apart="class_and_group"),
        "listed": partial(ListedAnswers, relevant=drawn[::2], junk=drawn[1::2]),
        "graded": partial(GradedAnswers, relevance=SameClass(), apart="group"),
    }
    every = {"precision": (2,), "average_precision": (3,), "ndcg": (4,), "whole_ranking": True}
    found = {}
    for name, judge in kinds.items():
        scoring = Scoring(judge, **every)
        scores = score_retrieval(queries, gallery, (1, 3), scoring=scoring)
        by_class = average_by_class(queries, scores, queries.groups)
        means = average_retrieval(queries, scores) | by_class.macro()
        found[name] = {of: repr(value) for of, value in means.items()}
    return found


def triplets(n, m):
    draw = torch.Generator().manual_seed(3)
    columns = [torch.randint(0, size, (90,), generator=draw) for size in (n, m, m)]
    return torch.stack(columns, 1)


@pytest.mark.parametrize(
    ("counts", "gallery_counts"), [((15, 16), (53, 0)), ((0, 31, 4, 9), (40, 0, 9, 12))]
)
def test_scores_are_those_of_one_process(run_on_ranks, counts, gallery_counts):
    ranks = run_on_ranks(scores_on_a_rank, len(counts), counts, gallery_counts)
    for kind in KINDS:
        check_scores(kind, sum(counts), sum(gallery_counts), [rank[kind] for rank in ranks])


def check_scores(kind, n, m, ranks):
    embeddings, labels, _, _ = images(kind, n)
    _, _, gallery, gallery_labels = images(kind, m)
    poses, gallery_poses = labels[:, None].double() / 7, gallery_labels[:, None].double() / 7
    whole, others = Embedded(embeddings, labels), Embedded(gallery, gallery_labels)
    posed, posed_gallery = Embedded(embeddings, poses), Embedded(gallery, gallery_poses)
    queries = score_retrieval(whole)
    spearman = score_rank_correlation(posed, posed_gallery)
    expected = {
        "inside": evaluate_retrieval(whole),
        "clusters": evaluate_clustering(whole),
        "gallery": evaluate_retrieval(whole, others, (1, 3)),
        "label distances": evaluate_label_distances(posed, posed_gallery, (1, 9)),
        **protocols(grouped(whole), grouped(others)),
        "triplets": evaluate_triplets(whole, others, triplets(n, m), k=4),
    }
    for rank in ranks:
        rows = rank["rows"]
        for name, score in queries.items():
            assert torch.equal(rank["queries"][name].nan_to_num(-1), score[rows].nan_to_num(-1))
        for name, scores in expected.items():
            assert rank[name] == scores
        assert torch.allclose(rank["spearman"], spearman[rows], atol=1e-9, equal_nan=True)


def everything_on_a_rank(counts):
    index = own_rows(counts) * 10
    again = torch.cat([index, index[:2], torch.tensor([0, 10])])
    kept, shards = shard(again)
    values = again[kept].double()
    positions = torch.tensor([3, 0, 3])
    images = Embedded(values[:, None], ids=again[kept], shards=shards)
    broken = torch.where(values == 30, torch.nan, values)[:, None]
    try:
        evaluate_retrieval(Embedded(broken, kept % 2, shards=shards))
        said = ""
    except ValueError as error:
        said = str(error)
    return {
        "own": values[: len(kept)],
        "whole": shards.all_gather(values),
        "positions": images.positions_of(torch.tensor([50, 0])),
        "first": shards.gather_to_rank0(values),
        "taken": shards.take(values, positions),
        "max": shards.max(dist.get_rank()),
        "said": said,
    }


@pytest.mark.parametrize("counts", [(4, 5), (0, 9, 2), (9,)])
def test_rows_of_all_ranks_each_image_once(run_on_ranks, counts):
    n = sum(counts)
    ranks = run_on_ranks(everything_on_a_rank, len(counts), counts)
    together = torch.cat([rank["own"] for rank in ranks])
    assert together.sort().values.tolist() == [10.0 * i for i in range(n)]
    for number, rank in enumerate(ranks):
        assert rank["whole"].tolist() == [10.0 * i for i in range(n)]
        assert rank["taken"].tolist() == [30.0, 0.0, 30.0]
        assert rank["positions"].tolist() == [5, 0]
        assert rank["max"] == len(counts) - 1
        assert rank["said"].startswith(
            f"1 of {n} embeddings hold NaN or infinity, the first at row 3"
        )
        assert rank["first"] is None if number else torch.equal(rank["first"], rank["whole"])


def blocks_on_a_rank(counts):
    _, shards = share(counts)
    held = []

    def visit(block):
        held.append(len(block[0]))
        (sums, visits) = block
        return sums + dist.get_rank(), visits * 10 + dist.get_rank()

    rank = dist.get_rank()
    blocks = ((torch.zeros(rank + 1), torch.ones((), dtype=torch.int64)) for _ in range(rank))
    home = [(sums.tolist(), int(visits)) for sums, visits in shards.ring_pass(blocks, visit)]
    return home, held


def test_a_block_visits_every_rank_and_comes_home(run_on_ranks):
    ranks = run_on_ranks(blocks_on_a_rank, 3, (2, 2, 2))
    order = {1: 1120, 2: 1201}
    for rank, (home, held) in enumerate(ranks):
        assert home == [([3.0] * (rank + 1), order.get(rank))] * rank
        # two blocks of rank 2 and one of rank 1 came by, one at a time
        assert sorted(held) == [2, 3, 3]


def test_one_process_needs_no_group():
    shards = Shards.unsharded(3)
    rows = torch.rand(3, 2)
    assert shards.all_gather(rows) is rows
    assert torch.equal(shards.gather_to_rank0(rows), rows)
    assert torch.equal(shards.take(rows, torch.tensor([2, 2])), rows[[2, 2]])
    assert shards.max(4) == 4


def test_queries_and_gallery_are_shared_by_the_same_ranks():
    rows = Embedded(torch.rand(4, 2), torch.arange(4))
    halves = Shards([torch.arange(2), torch.arange(2, 4)])
    shared = Embedded(torch.rand(2, 2), torch.arange(2), shards=halves)
    evaluations = (evaluate_retrieval, evaluate_label_distances, score_rank_correlation)
    for evaluate in evaluations:
        with pytest.raises(ValueError, match="2 ranks share the queries and 1 the gallery"):
            evaluate(shared, rows)
        with pytest.raises(ValueError, match="1 ranks share the queries and 2 the gallery"):
            evaluate(rows, shared)
    with pytest.raises(ValueError, match="the same ranks must share both"):
        evaluate_triplets(rows, shared, torch.tensor([[0, 1, 2]]))
