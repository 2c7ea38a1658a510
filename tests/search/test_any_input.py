"""Whatever a public search is given, it finds what float64 finds, or says what it needs.

See tests.any_input.
"""

import pytest
import torch

from ranklight import search
from ranklight.search import ApproximateSearch, BlockedSearch, Embedded, ExactSearch, Shards
from tests.any_input import Call, tensors_of, try_disturbed

pytestmark = [
    pytest.mark.usefixtures("unchecked"),
    pytest.mark.filterwarnings("ignore"),
]
_DRAW = torch.Generator().manual_seed(0)
GALLERY = torch.randn(7, 3, generator=_DRAW)
QUERIES = torch.randn(4, 3, generator=_DRAW)
OWN = torch.tensor([3, -1, 0, 6])
IDS = torch.tensor([3, 1, 4, 15, 9, 2, 6])
SEARCHED = {"gallery": GALLERY, "queries": QUERIES, "own": OWN, "max_k": 4, "k": 3}


def searched(prepare):
    def call(gallery, queries, own, max_k, k):
        return prepare(gallery, max_k).nearest(queries, k, own)

    return call


def lists(embeddings, ids, counts, ref_embeddings):
    queries, gallery = Embedded(embeddings, ids=ids), Embedded(ref_embeddings)
    return [*search.neighbour_lists(queries, gallery, counts)]


def positions(embeddings, labels, ids, asked):
    return Embedded(embeddings, labels, ids).positions_of(asked)


def halves(first, second, rows, positions):
    """Of two ranks' rows those of the first, and of one rank's all."""
    alone = Shards.unsharded(4).take(rows, positions)
    return alone, Shards([first, second]).global_to_local(positions)


CALLS = {
    "ExactSearch": Call(searched(ExactSearch), SEARCHED),
    "BlockedSearch": Call(
        lambda rows_per_block, **given: searched(
            lambda gallery, max_k: BlockedSearch(gallery, max_k, rows_per_block)
        )(**given),
        {**SEARCHED, "rows_per_block": 3},
    ),
    "ApproximateSearch": Call(
        lambda effort, **given: searched(
            lambda gallery, max_k: ApproximateSearch(gallery, max_k, effort=effort)
        )(**given),
        {**SEARCHED, "effort": 8},
    ),
    "ApproximateSearch, graph": Call(
        searched(lambda gallery, max_k: ApproximateSearch(gallery, max_k, "HNSW")), SEARCHED
    ),
    "Embedded": Call(
        positions,
        {"embeddings": GALLERY, "labels": IDS % 2, "ids": IDS, "asked": IDS.flip(0)[:3]},
    ),
    "Shards": Call(
        halves,
        {
            "first": torch.tensor([0, 2]),
            "second": torch.tensor([1, 3]),
            "rows": QUERIES,
            "positions": torch.tensor([3, 0, 0]),
        },
    ),
    "index_recall": Call(
        lambda k, sample, **given: search.index_recall(Embedded(**given), k, ExactSearch, sample),
        {"embeddings": GALLERY, "ids": IDS, "k": 2, "sample": 5},
    ),
    "nearest": Call(search.nearest, {"queries": QUERIES, "k": 2, "gallery": GALLERY}),
    "nearest, among themselves": Call(search.nearest, {"queries": QUERIES, "k": 2}),
    "neighbour_lists": Call(
        lists,
        {
            "embeddings": QUERIES,
            "ids": torch.arange(4),
            "counts": torch.tensor([2, 0, 5, 1]),
            "ref_embeddings": GALLERY,
        },
    ),
    "shard": Call(lambda ids: search.shard(ids)[0], {"ids": torch.tensor([7, 3, 7, 0])}),
    "squared_distance": Call(
        search.squared_distance,
        {
            "queries": QUERIES,
            "rows": torch.tensor([0, 3, 1]),
            "gallery": GALLERY,
            "columns": torch.tensor([6, 0, 1]),
        },
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_neighbour_as_in_float64_or_a_sentence(name):
    try_disturbed(CALLS[name])


@pytest.mark.parametrize("name", CALLS)
def test_the_call_that_is_disturbed_is_a_good_one(name):
    assert tensors_of(CALLS[name].part(**CALLS[name].arguments))


def test_every_public_search_is_tried():
    assert set(search.__all__) == {name.split(",")[0] for name in CALLS}
