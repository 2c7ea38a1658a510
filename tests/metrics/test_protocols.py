"""Queries in a gallery with cameras, junk and lists, against loops from each field's definition."""

import math
from functools import partial

import pytest
import torch

from ranklight.metrics import (
    ClassAnswers,
    GradedAnswers,
    ListedAnswers,
    Scoring,
    average_by_class,
    evaluate_retrieval,
    score_retrieval,
)
from ranklight.pairs import LabelOverlap
from ranklight.search import ApproximateSearch, Embedded

QUERIES, GALLERY = 12, 60
KS = (1, 5, 10)
EVERY = {
    "precision": (3, 100),
    "average_precision": (7, 100),
    "ndcg": (4, 100),
    "whole_ranking": True,
}


def points(rows, seed):
    draw = torch.Generator().manual_seed(seed)
    # few different places, so that many neighbours are equally far
    places = torch.randint(0, 3, (rows, 3), generator=draw).float()
    labels = torch.randint(0, 5, (rows,), generator=draw)
    cameras = torch.randint(-1, 3, (rows,), generator=draw)
    return places, labels, cameras


def ranking(query, gallery):
    """Columns by distance, then by themselves, as any exact search with our rule of ties."""
    distance = [math.dist(query.tolist(), other.tolist()) ** 2 for other in gallery]
    return sorted(range(len(gallery)), key=lambda column: (round(distance[column], 9), column))


def loops(hits, relevant):
    """Scores of one query from its ranking as a list of gains, junk already left out."""
    found = [rank for rank, gain in enumerate(hits, 1) if gain > 0]
    precision = [sum(other <= rank for other in found) / rank for rank in found]
    scores = {f"recall@{k}": float(any(rank <= k for rank in found)) for k in KS}
    scores |= {f"precision@{k}": sum(rank <= k for rank in found) / k for k in EVERY["precision"]}
    for k in EVERY["average_precision"]:
        there = [p for p, rank in zip(precision, found, strict=True) if rank <= k]
        scores[f"map@{k}"] = sum(there) / min(k, relevant)
    scores["r_precision"] = sum(rank <= relevant for rank in found) / relevant
    scores["map@r"] = (
        sum(p for p, rank in zip(precision, found, strict=True) if rank <= relevant) / relevant
    )
    scores["map"] = sum(precision) / relevant
    scores["map/trapezoid"] = trapezoids(found, relevant)
    scores["mrr"] = 1 / found[0]
    scores["minp"] = relevant / found[-1]
    ideal = sorted(hits, reverse=True)
    for k in EVERY["ndcg"]:
        gained, best = (
            sum(gain / math.log2(rank + 1) for rank, gain in enumerate(of[:k], 1))
            for of in (hits, ideal)
        )
        scores[f"ndcg@{k}"] = gained / best
    return scores


def trapezoids(found, relevant):
    """The area that the evaluations of Oxford's buildings and of Market-1501 take."""
    area, old_recall, old_precision = 0.0, 0.0, 1.0
    for position in range(1, found[-1] + 1):
        right = sum(rank <= position for rank in found)
        recall, precision = right / relevant, right / position
        area += (recall - old_recall) * (old_precision + precision) / 2
        old_recall, old_precision = recall, precision
    return area


def expected(queries, gallery, judge):
    """Means of loops; `judge(query, column)` is a gain, or None for junk."""
    rows = []
    for query in range(len(queries)):
        order = ranking(queries[query], gallery)
        gains = [gain for gain in (judge(query, column) for column in order) if gain is not None]
        relevant = sum(gain > 0 for gain in gains)
        if relevant:
            rows.append(loops(gains, relevant))
    means = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
    return means | {"queries": len(rows)}


@pytest.fixture
def sides():
    return points(QUERIES, 0), points(GALLERY, 1)


def embedded(side, first=0):
    places, labels, cameras = side
    return Embedded(places, labels, torch.arange(first, first + len(labels)), groups=cameras)


def test_the_same_person_in_the_same_camera_is_neither_right_nor_wrong(sides):
    (queries, own, camera), (gallery, labels, cameras) = sides

    def judge(query, column):
        same = bool(own[query] == labels[column])
        here = camera[query] >= 0 and camera[query] == cameras[column]
        return None if same and here else float(same)

    scoring = Scoring(partial(ClassAnswers, apart="class_and_group"), **EVERY)
    both = embedded(sides[0], 1000), embedded(sides[1])
    assert evaluate_retrieval(*both, KS, scoring=scoring) == pytest.approx(
        expected(queries, gallery, judge), rel=1e-12
    )


def test_nothing_of_the_same_session_is_compared(sides):
    (queries, own, camera), (gallery, labels, cameras) = sides

    def judge(query, column):
        if camera[query] >= 0 and camera[query] == cameras[column]:
            return None
        return float(own[query] == labels[column])

    scoring = Scoring(partial(ClassAnswers, apart="group"), **EVERY)
    both = embedded(sides[0], 1000), embedded(sides[1])
    assert evaluate_retrieval(*both, KS, scoring=scoring) == pytest.approx(
        expected(queries, gallery, judge), rel=1e-12
    )


@pytest.mark.parametrize("apart", ["group", "class_and_group"])
def test_among_themselves_images_leave_out_themselves_and_their_group(sides, apart):
    gallery, labels, cameras = sides[1]

    def judge(query, column):
        same = bool(labels[query] == labels[column])
        here = bool(cameras[query] >= 0 and cameras[query] == cameras[column])
        if query == column or (here and (same or apart == "group")):
            return None
        return float(same)

    scoring = Scoring(partial(ClassAnswers, apart=apart), **EVERY)
    assert evaluate_retrieval(embedded(sides[1]), None, KS, scoring=scoring) == pytest.approx(
        expected(gallery, gallery, judge), rel=1e-12
    )


def test_lists_say_what_is_right_and_what_is_junk_as_for_landmarks(sides):
    queries, gallery = sides[0][0], sides[1][0]
    draw = torch.Generator().manual_seed(2)
    kinds = torch.randint(0, 6, (QUERIES, GALLERY), generator=draw)
    kinds[3] = 5
    listed = [
        torch.stack((kinds == kind).nonzero(as_tuple=True), 1) + torch.tensor([1000, 0])
        for kind in (0, 1)
    ]
    scoring = Scoring(partial(ListedAnswers, relevant=listed[0], junk=listed[1]), **EVERY)
    both = embedded(sides[0], 1000), embedded(sides[1])
    found = evaluate_retrieval(*both, KS, scoring=scoring)
    wanted = expected(
        queries, gallery, lambda q, c: None if kinds[q, c] == 1 else float(kinds[q, c] == 0)
    )
    assert found == pytest.approx(wanted, rel=1e-12)
    assert found["queries"] == QUERIES - 1


def test_gains_are_what_the_overlap_of_labels_says(sides):
    queries, gallery = sides[0][0], sides[1][0]
    draw = torch.Generator().manual_seed(3)
    own, labels = (
        (torch.rand(rows, 4, generator=draw) < 0.4).long() for rows in (QUERIES, GALLERY)
    )
    relevance = LabelOverlap()
    overlap = relevance(own, labels)
    both = [
        Embedded(places, of, torch.arange(first, first + len(of)))
        for places, of, first in ((queries, own, 1000), (gallery, labels, 0))
    ]
    scoring = Scoring(partial(GradedAnswers, relevance=relevance), **EVERY)
    assert evaluate_retrieval(*both, KS, scoring=scoring) == pytest.approx(
        expected(queries, gallery, lambda q, c: float(overlap[q, c])), rel=1e-6
    )


def test_a_query_in_the_gallery_is_left_out_by_identity_not_by_being_nearest():
    # The copy at 1 is nearer to the query 0 than the query's own row would be in any other rule.
    places = torch.tensor([[0.0], [0.0], [5.0]])
    queries = Embedded(places[:1], torch.tensor([0]), torch.tensor([7]))
    gallery = Embedded(places, torch.tensor([0, 1, 0]), torch.tensor([7, 8, 9]))
    found = evaluate_retrieval(queries, gallery, (1, 2), scoring=Scoring(whole_ranking=True))
    assert found["recall@1"] == 0
    assert found["map"] == found["recall@2"] / 2 == 0.5


def test_the_whole_ranking_goes_on_until_all_is_found(monkeypatch):
    monkeypatch.setattr("ranklight.metrics.retrieval._DEEPER", 2)
    places = torch.arange(200.0)[:, None]
    labels = torch.ones(200, dtype=torch.int64)
    labels[[0, 150, 199]] = 0
    rows = Embedded(places, labels)
    found = score_retrieval(rows, ks=(1,), scoring=Scoring(whole_ranking=True))
    assert found["minp"][0].item() == 2 / 199
    assert found["mrr"][0].item() == 1 / 150


def test_an_approximate_index_leaves_out_the_same_junk(sides):
    both = embedded(sides[0], 1000), embedded(sides[1])
    scoring = Scoring(partial(ClassAnswers, apart="class_and_group"), whole_ranking=True)
    whole = partial(ApproximateSearch, effort=60)
    assert evaluate_retrieval(*both, KS, whole, scoring=scoring) == evaluate_retrieval(
        *both, KS, scoring=scoring
    )


def test_means_over_classes_weigh_small_classes_as_large_ones():
    queries = Embedded(torch.zeros(5, 1), torch.tensor([3, 3, 3, 8, 9]))
    scores = {
        "recall@1": torch.tensor([1.0, 1.0, 0.0, 0.0, torch.nan]),
        "other": torch.tensor([1.0, torch.nan, 0.0, 0.5, torch.nan]),
    }
    found = average_by_class(queries, scores, queries.labels)
    assert found.classes.tolist() == [3, 8]
    assert found.queries.tolist() == [3, 1]
    assert found.macro() == pytest.approx({"recall@1/macro": 1 / 3, "other/macro": 0.5})


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda q, g: ClassAnswers(q, Embedded(g.embeddings, g.labels), apart="group"),
            "apart='group' needs a group for queries and gallery",
        ),
        (
            lambda q, g: ListedAnswers(
                q, g, relevant=torch.tensor([[1000, 0]]), junk=torch.tensor([[1000, 0]])
            ),
            "cannot be both relevant to a query and junk",
        ),
        (
            lambda q, g: ListedAnswers(
                q, g, relevant=torch.tensor([[1000, 0]] * 2), junk=torch.zeros(0, 2).long()
            ),
            "an image is listed twice for a query",
        ),
        (
            lambda q, g: ListedAnswers(
                q, g, relevant=torch.tensor([[1000, 99]]), junk=torch.zeros(0, 2).long()
            ),
            "1 images were not embedded, the first is 99",
        ),
    ],
)
def test_what_cannot_be_answered_is_refused(sides, call, words):
    with pytest.raises(ValueError, match=words):
        call(embedded(sides[0], 1000), embedded(sides[1]))


def test_ids_that_repeat_in_a_gallery_are_refused(sides):
    gallery = Embedded(torch.zeros(2, 3), torch.tensor([0, 0]), torch.tensor([4, 4]))
    with pytest.raises(ValueError, match="two rows have the id 4"):
        evaluate_retrieval(embedded(sides[0]), gallery)


def test_a_gallery_of_junk_alone_scores_nan(sides):
    places = torch.zeros(2, 3)
    rows = Embedded(places, torch.tensor([0, 0]), groups=torch.tensor([1, 1]))
    scoring = Scoring(partial(ClassAnswers, apart="class_and_group"))
    found = evaluate_retrieval(rows, scoring=scoring)
    assert found["queries"] == 0
    assert math.isnan(found["recall@1"])
