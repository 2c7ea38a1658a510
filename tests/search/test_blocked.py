"""A gallery searched block by block against `ExactSearch` of all of it, to the bit."""

import re
from functools import partial

import numpy as np
import pytest
import torch
import torch.distributed as dist

from ranklight.metrics import ClassAnswers, Scoring, evaluate_retrieval
from ranklight.search import BlockedSearch, Embedded, ExactSearch, blocked, neighbour_lists, shard
from ranklight.search.backends import top_k_by_torch

TYPES = (torch.float16, torch.float32, torch.float64)
BLOCKS = (7, 32, 200)


def rows_of(kind, n=97, dtype=torch.float32):
    draw = torch.Generator().manual_seed(3)
    rows = torch.randn(n, 5, generator=draw, dtype=torch.float64)
    if kind == "ties":
        rows = torch.randint(-1, 2, (n, 5), generator=draw).double()
    if kind == "copies across blocks":
        rows = rows[torch.randint(0, 3, (n,), generator=draw)]
    return rows.to(dtype)


@pytest.mark.parametrize("kind", ["spread", "ties", "copies across blocks"])
@pytest.mark.parametrize("dtype", TYPES)
def test_lists_are_those_of_the_whole_gallery(kind, dtype):
    gallery, own = rows_of(kind, dtype=dtype), torch.arange(97)
    queries = torch.cat([gallery[:40], rows_of("spread", 20, dtype)])
    own = torch.cat([torch.arange(40), torch.full((20,), -1)])
    for k in (1, 3, 50, 120):
        exact = ExactSearch(gallery, k)
        for rows in BLOCKS:
            search = BlockedSearch(gallery, k, rows_per_block=rows)
            assert torch.equal(search.nearest(queries, k), exact.nearest(queries, k))
            assert torch.equal(search.nearest(queries, k, own), exact.nearest(queries, k, own))


def test_one_row_is_found_or_is_the_query_itself():
    search = BlockedSearch(torch.ones(1, 2), 3)
    assert search.nearest(torch.zeros(2, 2), 3).tolist() == [[0, -1, -1]] * 2
    assert search.nearest(torch.zeros(2, 2), 2, torch.tensor([0, -1])).tolist() == [
        [-1, -1],
        [0, -1],
    ]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_scores_of_a_gallery_on_disk_are_those_of_it_in_memory(tmp_path, dtype):
    gallery, queries = rows_of("ties").numpy().astype(dtype), rows_of("spread", 30)
    np.save(tmp_path / "gallery.npy", gallery)
    on_disk = torch.from_numpy(np.load(tmp_path / "gallery.npy", mmap_mode="r+"))
    labels, ids, groups = torch.arange(97) % 6, torch.arange(97), torch.arange(97) % 4
    asking = Embedded(queries, labels[:30], ids[:30], groups=groups[:30])
    scoring = Scoring(partial(ClassAnswers, apart="class_and_group"), whole_ranking=True)
    disk, memory = (
        evaluate_retrieval(
            asking, Embedded(rows, labels, ids, groups=groups), (1, 5), search, None, scoring
        )
        for rows, search in (
            (on_disk, partial(BlockedSearch, rows_per_block=10)),
            (torch.from_numpy(gallery), ExactSearch),
        )
    )
    assert disk == memory
    assert disk["queries"] == 30


def lists_on_a_rank(counts):
    rows = rows_of("copies across blocks")
    index = torch.arange(97).split(list(counts))[dist.get_rank()]
    kept, shards = shard(index)
    own = Embedded(rows[index[kept]], shards=shards)
    asked = torch.full((len(kept),), 9)
    search = partial(BlockedSearch, rows_per_block=10)
    return [(index[kept][row], found) for row, found in neighbour_lists(own, None, asked, search)]


@pytest.mark.parametrize("counts", [(50, 47), (0, 97)])
def test_on_ranks_each_has_blocks_of_its_share(run_on_ranks, counts):
    rows = rows_of("copies across blocks")
    ranks = run_on_ranks(lists_on_a_rank, 2, counts)
    blocks = [block for rank in ranks for block in rank]
    assert sum(len(row) for row, _ in blocks) == 97
    for row, found in blocks:
        assert torch.equal(found, ExactSearch(rows, 9).nearest(rows[row], 9, row))


def test_many_queries_are_searched_in_one_pass():
    passes = []

    class Counted(BlockedSearch):
        def nearest(self, queries, k, own=None):
            passes.append(len(queries))
            return super().nearest(queries, k, own)

    queries, counts = Embedded(torch.rand(5000, 2)), torch.full((5000,), 3)
    gallery = torch.rand(50, 2)
    both = (
        [*neighbour_lists(queries, Embedded(gallery), counts, search)]
        for search in (partial(Counted, rows_per_block=20), ExactSearch)
    )
    found, exact = (torch.cat([lists for _, lists in blocks]) for blocks in both)
    assert passes == [5000]
    assert torch.equal(found, exact)


def test_no_more_than_a_block_is_prepared_at_once():
    prepared = []

    def propose(queries, gallery, k):
        prepared.append(len(gallery))
        return top_k_by_torch(queries, gallery, k)

    BlockedSearch(torch.rand(25, 2), 2, 10, propose).nearest(torch.rand(3, 2), 2)
    assert prepared == [10, 10, 5]


def test_a_long_search_says_how_long_before_it_goes_on(monkeypatch, capsys):
    seconds, said, proposed = iter(range(0, 10_000, 40)), [], []
    monkeypatch.setattr(blocked.time, "perf_counter", lambda: next(seconds))

    def propose(queries, gallery, k):
        said.extend(capsys.readouterr().err.splitlines())
        proposed.append(len(said))
        return top_k_by_torch(queries, gallery, k)

    BlockedSearch(torch.rand(40, 2), 2, 10, propose).nearest(torch.rand(3, 2), 2)
    estimate, *progress = [*said, *capsys.readouterr().err.splitlines()]
    assert re.match(r"3 queries in 40 rows, exactly: about 2 minutes, and 0\.0 GiB", estimate)
    assert progress == [
        "50% searched, about 80 seconds to go",
        "75% searched, about 40 seconds to go",
    ]
    assert proposed == [0, 1, 2, 3]


def test_a_short_search_says_nothing():
    said = []
    BlockedSearch(torch.rand(40, 2), 2, 10, tell=said.append).nearest(torch.rand(3, 2), 2)
    assert said == []


def test_bad_input_is_refused(unchecked):
    rows = torch.rand(10, 4)
    with pytest.raises(ValueError, match="the gallery has no rows"):
        BlockedSearch(rows[:0], 2)
    with pytest.raises(TypeError, match="gallery must be floats"):
        BlockedSearch(rows.long(), 2)
    with pytest.raises(ValueError, match="rows_per_block must be 1 to"):
        BlockedSearch(rows, 2, rows_per_block=0)
    with pytest.raises(ValueError, match="asked for 3 neighbours of a search prepared for 2"):
        BlockedSearch(rows, 2).nearest(rows, 3)
    with pytest.raises(ValueError, match="queries of 3 dimensions"):
        BlockedSearch(rows, 2).nearest(rows[:, :3], 2)
    rows[9, 0] = torch.nan
    with pytest.raises(ValueError, match="not finite"):
        BlockedSearch(rows, 2, rows_per_block=4).nearest(rows[:2], 2)
