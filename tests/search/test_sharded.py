"""Searches and scores of galleries that ranks share, against one process, to the bit."""

from functools import partial

import pytest
import torch
import torch.distributed as dist

from ranklight.metrics import (
    evaluate_label_distances,
    evaluate_retrieval,
    evaluate_triplets,
    score_label_distances,
    score_queries,
)
from ranklight.search import ExactSearch, ShardedSearch, Shards, shard
from ranklight.search.backends import largest_by_faiss, largest_by_torch

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
    results = {}
    for name, backend in (("torch", largest_by_torch), ("faiss", largest_by_faiss)):
        prepare = partial(ExactSearch, backend=backend)
        for k in KS:
            search = ShardedSearch(gallery[own], shards, k, prepare)
            # a rank asks in as many blocks as its number says, the first asks nothing
            parts = own.chunk(dist.get_rank()) if dist.get_rank() else ()
            asked = [(embeddings[part], k, None) for part in parts]
            results[name, k, "other"] = (parts, list(search.lists(asked)))
            inside = ShardedSearch(embeddings[own], shards, k, prepare)
            asked = [(embeddings[part], k, part) for part in parts]
            results[name, k, "own"] = (parts, list(inside.lists(asked)))
    return results


@pytest.mark.parametrize("counts", SHARES.values(), ids=SHARES)
def test_lists_are_those_of_one_process(run_on_ranks, counts):
    ranks = run_on_ranks(lists_on_a_rank, len(counts), counts)
    for kind in KINDS:
        embeddings, _, gallery, _ = images(kind, sum(counts))
        for rank in ranks:
            for (_, k, where), (parts, found) in rank[kind].items():
                among = ExactSearch(embeddings if where == "own" else gallery, k, largest_by_torch)
                assert len(parts) == len(found)
                for part, lists in zip(parts, found, strict=True):
                    own = part if where == "own" else None
                    assert torch.equal(lists, among.nearest(embeddings[part], k, own))


def scores_on_a_rank(counts, gallery_counts):
    return {kind: scores_of(kind, counts, gallery_counts) for kind in KINDS}


def scores_of(kind, counts, gallery_counts):
    n, m = sum(counts), sum(gallery_counts)
    embeddings, labels, _, _ = images(kind, n)
    _, _, gallery, gallery_labels = images(kind, m)
    own, shards = share(counts)
    among, gallery_shards = share(gallery_counts)
    poses, gallery_poses = labels[:, None].double() / 7, gallery_labels[:, None].double() / 7
    both = {"shards": shards, "gallery_shards": gallery_shards}
    return {
        "rows": own,
        "queries": score_queries(embeddings[own], labels[own], shards=shards),
        "inside": evaluate_retrieval(embeddings[own], labels[own], shards=shards),
        "gallery": evaluate_retrieval(
            *(embeddings[own], labels[own], (1, 3)),
            *(gallery[among], gallery_labels[among]),
            **both,
        ),
        "label distances": evaluate_label_distances(
            *(embeddings[own], poses[own], gallery[among], gallery_poses[among], (1, 9)), **both
        ),
        "spearman": score_label_distances(
            *(embeddings[own], poses[own], gallery[among], gallery_poses[among], (1,)), **both
        ).spearman,
        "triplets": evaluate_triplets(embeddings[own], gallery[among], triplets(n, m), k=4, **both),
    }


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
    queries = score_queries(embeddings, labels)
    inside = evaluate_retrieval(embeddings, labels)
    other = evaluate_retrieval(embeddings, labels, (1, 3), gallery, gallery_labels)
    distances = evaluate_label_distances(embeddings, poses, gallery, gallery_poses, (1, 9))
    spearman = score_label_distances(embeddings, poses, gallery, gallery_poses, (1,)).spearman
    ordered = evaluate_triplets(embeddings, gallery, triplets(n, m), k=4)
    for rank in ranks:
        rows = rank["rows"]
        for column, whole in zip(rank["queries"], queries, strict=True):
            assert torch.equal(column.nan_to_num(-1), whole[rows].nan_to_num(-1))
        assert rank["inside"] == inside
        assert rank["gallery"] == other
        assert rank["triplets"] == ordered
        correlations = ("spearman", "spearman/oracle", "spearman/chance")
        for name in distances.keys() - set(correlations):
            assert rank["label distances"][name] == distances[name]
        assert torch.allclose(rank["spearman"], spearman[rows], atol=1e-9, equal_nan=True)


def everything_on_a_rank(counts):
    index = own_rows(counts) * 10
    again = torch.cat([index, index[:2], torch.tensor([0, 10])])
    kept, shards = shard(again)
    values = again[kept].double()
    places = torch.tensor([3, 0, 3])
    try:
        evaluate_retrieval(
            torch.where(values == 30, torch.nan, values)[:, None], kept % 2, shards=shards
        )
        said = ""
    except ValueError as error:
        said = str(error)
    return {
        "own": values[: len(kept)],
        "whole": shards.whole(values),
        "first": shards.on_first(values),
        "picked": shards.pick(values, places),
        "largest": shards.largest(dist.get_rank()),
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
        assert rank["picked"].tolist() == [30.0, 0.0, 30.0]
        assert rank["largest"] == len(counts) - 1
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
    home = [(sums.tolist(), int(visits)) for sums, visits in shards.go_round(blocks, visit)]
    return home, held


def test_a_block_visits_every_rank_and_comes_home(run_on_ranks):
    ranks = run_on_ranks(blocks_on_a_rank, 3, (2, 2, 2))
    order = {1: 1120, 2: 1201}
    for rank, (home, held) in enumerate(ranks):
        assert home == [([3.0] * (rank + 1), order.get(rank))] * rank
        # two blocks of rank 2 and one of rank 1 came by, one at a time
        assert sorted(held) == [2, 3, 3]


def test_one_process_needs_no_group():
    shards = Shards.alone(3)
    rows = torch.rand(3, 2)
    assert shards.whole(rows) is rows
    assert torch.equal(shards.on_first(rows), rows)
    assert torch.equal(shards.pick(rows, torch.tensor([2, 2])), rows[[2, 2]])
    assert shards.largest(4) == 4


def test_queries_and_gallery_are_both_shared_or_neither():
    rows, labels = torch.rand(4, 2), torch.arange(4)
    for arguments in ({"shards": Shards.alone(4)}, {"gallery_shards": Shards.alone(4)}):
        with pytest.raises(ValueError, match="give both or neither"):
            evaluate_retrieval(rows, labels, gallery=rows, gallery_labels=labels, **arguments)
        with pytest.raises(ValueError, match="give both or neither"):
            evaluate_label_distances(rows, labels, rows, labels, **arguments)
        with pytest.raises(ValueError, match="give both or neither"):
            evaluate_triplets(rows, rows, torch.tensor([[0, 1, 2]]), **arguments)
