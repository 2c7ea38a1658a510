"""Queries that are part of the gallery do not find themselves, where ids say which they are."""

import pytest
import torch

from ranklight.metrics import (
    evaluate_label_distances,
    evaluate_rank_correlation,
    evaluate_retrieval,
    score_label_distances,
    score_rank_correlation,
    score_retrieval,
)
from ranklight.search import Embedded, neighbour_lists

POINTS = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
CLASSES = torch.arange(40) % 7
NUMBERS = torch.randn(40, 2, generator=torch.Generator().manual_seed(1))
IDS = torch.randperm(400, generator=torch.Generator().manual_seed(2))[:40]
PART = torch.tensor([3, 39, 8, 21, 22])


def both(labels):
    """Some of the rows as queries, and the whole gallery that they are part of."""
    return (
        Embedded(POINTS[PART], labels[PART], IDS[PART]),
        Embedded(POINTS, labels, IDS),
    )


def test_a_query_is_not_in_its_own_list():
    queries, gallery = both(CLASSES)
    for row, found in neighbour_lists(queries, gallery, torch.full((5,), 39)):
        for query, those in zip(row.tolist(), found.tolist(), strict=True):
            assert sorted([*those[:39], PART[query].item()]) == list(range(40))


def test_retrieval_is_that_of_the_whole_gallery_searched_among_itself():
    alone = score_retrieval(Embedded(POINTS, CLASSES))
    for name, score in score_retrieval(*both(CLASSES)).items():
        assert torch.equal(score, alone[name][PART])


def test_label_distances_leave_the_query_out_of_every_order():
    scores = score_label_distances(*both(NUMBERS), ks=(1, 10, 100))
    spearman = score_rank_correlation(*both(NUMBERS))
    for row, query in enumerate(PART):
        rest = torch.arange(40) != query
        one = Embedded(POINTS[query][None], NUMBERS[query][None])
        others = Embedded(POINTS[rest], NUMBERS[rest])
        for ours, theirs in zip(
            scores, score_label_distances(one, others, ks=(1, 10, 100)), strict=True
        ):
            torch.testing.assert_close(ours[row], theirs[0])
        torch.testing.assert_close(spearman[row], score_rank_correlation(one, others)[0])


def test_queries_may_be_partly_in_the_gallery():
    queries = Embedded(POINTS[:10], CLASSES[:10], torch.arange(10))
    gallery = Embedded(POINTS[5:], CLASSES[5:], torch.arange(5, 40))
    mixed = score_retrieval(queries, gallery, ks=(1,))["recall@1"]
    apart = score_retrieval(Embedded(POINTS[:5], CLASSES[:5]), gallery, ks=(1,))["recall@1"]
    among = score_retrieval(gallery, ks=(1,))["recall@1"]
    torch.testing.assert_close(mixed, torch.cat([apart, among[:5]]), equal_nan=True)
    queries = Embedded(POINTS[:10], NUMBERS[:10], torch.arange(10))
    gallery = Embedded(POINTS[5:], NUMBERS[5:], torch.arange(5, 40))
    mixed = score_label_distances(queries, gallery, ks=(1, 40)).distance[:5]
    apart = score_label_distances(Embedded(POINTS[:5], NUMBERS[:5]), gallery, ks=(1, 40)).distance
    torch.testing.assert_close(mixed, apart)


def test_rows_without_ids_are_different_images():
    scores = evaluate_retrieval(Embedded(POINTS, CLASSES), Embedded(POINTS, CLASSES), ks=(1,))
    assert scores["recall@1"] == 1
    for evaluate in (evaluate_label_distances, evaluate_rank_correlation):
        evaluate(Embedded(POINTS, NUMBERS), Embedded(POINTS, NUMBERS))


def test_an_id_of_two_rows_is_refused():
    gallery = Embedded(POINTS[:3], CLASSES[:3], torch.tensor([4, 7, 7]))
    with pytest.raises(ValueError, match="two rows have the id 7: each image needs its own"):
        evaluate_retrieval(Embedded(POINTS[:1], CLASSES[:1], torch.tensor([4])), gallery)


def test_a_gallery_of_nothing_but_the_query_is_refused():
    alone = [Embedded(POINTS[:1], NUMBERS[:1], torch.tensor([4])) for _ in range(2)]
    with pytest.raises(ValueError, match="nothing but the query itself"):
        evaluate_label_distances(*alone)
