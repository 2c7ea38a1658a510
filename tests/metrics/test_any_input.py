"""Whatever a public metric is given, it says what float64 does, or what it needs.

See tests.any_input.
"""

import pytest
import torch

from ranklight import metrics
from ranklight.metrics import (
    EachImageOnce,
    LabelDistanceScores,
    LabelRankingScores,
    LabelSetCounts,
    LabelSetScores,
    PairCounts,
    TripletScores,
)
from ranklight.pairs import LabelOverlap
from ranklight.search import Embedded
from tests.any_input import Call, tensors_of, try_disturbed

pytestmark = [
    pytest.mark.usefixtures("unchecked"),
    pytest.mark.filterwarnings("ignore"),
]
RECORDS = {
    "ClassMeans",
    "Clusters",
    "Judgement",
    "LabelDistanceScores",
    "LabelSetCounts",
    "PairCounts",
    "Scoring",
    "TripletScores",
    "VerificationCurve",
}
TAKES_NO_TENSOR = {"read_triplets", "wilson_interval"}

_DRAW = torch.Generator().manual_seed(0)
EMBEDDINGS = torch.randn(6, 3, generator=_DRAW)
CLASSES = torch.tensor([0, 1, 0, 1, 2, 0])
NUMBERS = torch.rand(6, 2, generator=_DRAW)
IDS = torch.tensor([3, 1, 4, 15, 9, 2])
RANKED = (torch.rand(4, 5, generator=_DRAW) - 0.3).round(decimals=1)
RELEVANT = torch.tensor([2, 1, 0, 3])
SCORES = torch.randn(5, 4, generator=_DRAW)
LABELS = torch.tensor(
    [[1.0, 0, 0, 1], [0, 1, -1, 0], [1, 1, 1, 1], [0, 0, 0, 0], [0, 0, 1, -1]],
)
DECIDED = torch.rand(5, 4, generator=_DRAW) < 0.5
INDEX = torch.tensor([7, 0, 3, 7, 1])
TRIPLETS = torch.tensor([[0, 1, 2], [3, 0, 1], [2, 5, 4]])
KS = (1, 3)

ROWS = {"embeddings": EMBEDDINGS, "labels": CLASSES, "ids": IDS}
SIDES = {"embeddings": EMBEDDINGS, "ref_embeddings": EMBEDDINGS.flip(0) + 0.5}
CLASS_SIDES = {**SIDES, "labels": CLASSES, "ref_labels": CLASSES.flip(0)}
REAL_SIDES = {**SIDES, "labels": NUMBERS, "ref_labels": NUMBERS.flip(0)}
MULTI_LABEL = {"scores": SCORES, "labels": LABELS}


def sides(embeddings, ref_embeddings, labels=None, ref_labels=None):
    return Embedded(embeddings, labels), Embedded(ref_embeddings, ref_labels)


def of_sides(evaluate, **options):
    return lambda **given: evaluate(*sides(**given), **options)


def with_triplets(evaluate):
    def call(triplets, k=None, **given):
        options = {} if k is None else {"k": k}
        return evaluate(*sides(**given), triplets, **options)

    return call


def of_batches(metric):
    """Twice the same batch: each image counts once."""

    def call(**batch):
        scores = metric()
        for _ in range(2):
            scores.update(**batch)
        return scores.compute()

    return call


def counts_of(answers):
    return {"relevant": answers.relevant, "junk": answers.junk}


def once():
    return EachImageOnce(lambda right: {"accuracy": right.mean()}, right=torch.zeros(0))


EMBEDDED = Embedded(EMBEDDINGS)
RATIOS = torch.rand(6, generator=_DRAW)
THREE = torch.rand(6, 3, 2, generator=_DRAW)
COUNTS = torch.tensor([2, 0, 1])
CALLS = {
    "recall_at_k": Call(
        metrics.recall_at_k, {"ranked_relevance": RANKED, "relevant": RELEVANT, "k": 2}
    ),
    "r_precision": Call(metrics.r_precision, {"ranked_relevance": RANKED, "relevant": RELEVANT}),
    "map_at_r": Call(metrics.map_at_r, {"ranked_relevance": RANKED, "relevant": RELEVANT}),
    "precision_at_k": Call(
        metrics.precision_at_k, {"ranked_relevance": RANKED, "relevant": RELEVANT, "k": 2}
    ),
    "average_precision_at_k": Call(
        metrics.average_precision_at_k, {"ranked_relevance": RANKED, "relevant": RELEVANT, "k": 3}
    ),
    "trapezoid_average_precision": Call(
        metrics.trapezoid_average_precision, {"ranked_relevance": RANKED, "relevant": RELEVANT}
    ),
    "reciprocal_rank": Call(
        metrics.reciprocal_rank, {"ranked_relevance": RANKED, "relevant": RELEVANT}
    ),
    "inverse_negative_penalty": Call(
        metrics.inverse_negative_penalty, {"ranked_relevance": RANKED, "relevant": RELEVANT}
    ),
    "ndcg_at_k": Call(
        metrics.ndcg_at_k,
        {
            "ranked_relevance": RANKED,
            "ideal_relevance": RANKED.sort(descending=True).values,
            "k": 3,
        },
    ),
    "ClassAnswers": Call(
        lambda **given: counts_of(metrics.ClassAnswers(Embedded(**given), apart="class_and_group")),
        {**ROWS, "groups": IDS % 2},
    ),
    "GradedAnswers": Call(
        lambda **given: counts_of(
            metrics.GradedAnswers(Embedded(**given), relevance=LabelOverlap(), apart="group")
        ),
        {"embeddings": EMBEDDINGS[:5], "labels": LABELS, "groups": IDS[:5] % 2},
    ),
    "ListedAnswers": Call(
        lambda relevant, junk, **given: counts_of(
            metrics.ListedAnswers(Embedded(**given), relevant=relevant, junk=junk)
        ),
        {**ROWS, "relevant": IDS[:4].view(2, 2), "junk": IDS[1:3].view(1, 2)},
    ),
    "average_by_class": Call(
        lambda classes, **given: metrics.average_by_class(EMBEDDED, given, classes).means,
        {"classes": CLASSES, "recall@1": RATIOS},
    ),
    "score_retrieval": Call(
        lambda **given: metrics.score_retrieval(Embedded(**given), ks=KS), ROWS
    ),
    "evaluate_retrieval": Call(of_sides(metrics.evaluate_retrieval, ks=KS), CLASS_SIDES),
    "average_retrieval": Call(
        lambda **given: metrics.average_retrieval(EMBEDDED, given),
        {"recall@1": RATIOS, "map@r": RATIOS.flip(0)},
    ),
    "label_distance_at_k": Call(metrics.label_distance_at_k, {"ranked_relevance": RANKED, "k": 2}),
    "closeness_ndcg_at_k": Call(
        metrics.closeness_ndcg_at_k,
        {
            "ranked_relevance": RANKED,
            "ideal_relevance": RANKED.sort(descending=True).values,
            "k": 3,
        },
    ),
    "score_label_distances": Call(of_sides(metrics.score_label_distances, ks=KS), REAL_SIDES),
    "evaluate_label_distances": Call(of_sides(metrics.evaluate_label_distances, ks=KS), REAL_SIDES),
    "average_label_distances": Call(
        lambda **given: metrics.average_label_distances(EMBEDDED, LabelDistanceScores(**given), KS),
        {"distance": THREE, "ndcg": THREE},
    ),
    "rank_correlation": Call(
        metrics.rank_correlation, {"distance": RANKED, "label_distance": RANKED.flip(0)}
    ),
    "score_rank_correlation": Call(of_sides(metrics.score_rank_correlation), REAL_SIDES),
    "evaluate_rank_correlation": Call(of_sides(metrics.evaluate_rank_correlation), REAL_SIDES),
    "average_rank_correlation": Call(
        lambda correlations: metrics.average_rank_correlation(EMBEDDED, correlations),
        {"correlations": RATIOS},
    ),
    "score_triplets": Call(
        with_triplets(metrics.score_triplets), {**SIDES, "triplets": TRIPLETS, "k": 3}
    ),
    "evaluate_triplets": Call(
        with_triplets(metrics.evaluate_triplets), {**SIDES, "triplets": TRIPLETS, "k": 2}
    ),
    "similarity_precision": Call(
        with_triplets(metrics.similarity_precision), {**SIDES, "triplets": TRIPLETS}
    ),
    "triplet_score_at_k": Call(
        with_triplets(metrics.triplet_score_at_k), {**SIDES, "triplets": TRIPLETS, "k": 2}
    ),
    "average_triplets": Call(
        lambda in_order, shown: metrics.average_triplets(TripletScores(in_order, shown), 3),
        {"in_order": RATIOS > 0.5, "shown": torch.tensor([1, 0, -1, 1, 0, 1])},
    ),
    "normalized_mutual_information": Call(
        metrics.normalized_mutual_information, {"labels": CLASSES, "assignments": IDS % 3}
    ),
    "adjusted_mutual_information": Call(
        metrics.adjusted_mutual_information, {"labels": CLASSES, "assignments": IDS % 3}
    ),
    "evaluate_clustering": Call(
        lambda restarts, iterations, **given: metrics.evaluate_clustering(
            Embedded(**given), restarts=restarts, iterations=iterations
        ),
        {**ROWS, "restarts": 1, "iterations": 9},
        random=True,
    ),
    "kmeans": Call(
        metrics.kmeans,
        {"embeddings": EMBEDDINGS, "clusters": 2, "seed": 0, "restarts": 1, "iterations": 9},
        random=True,
    ),
    "kmeans_plusplus": Call(
        lambda **given: metrics.kmeans_plusplus(
            **given, generator=torch.Generator().manual_seed(0)
        ),
        {"embeddings": EMBEDDINGS, "clusters": 3},
        random=True,
    ),
    "count_label_sets": Call(metrics.count_label_sets, {"decided": DECIDED, "labels": LABELS}),
    "evaluate_label_sets": Call(
        lambda **given: metrics.evaluate_label_sets(LabelSetCounts(**given)),
        {
            "correct": COUNTS,
            "predicted": COUNTS + 1,
            "actual": COUNTS * 2,
            "exact": torch.tensor(1),
            "images": torch.tensor(9),
        },
    ),
    "LabelSetScores": Call(
        of_batches(lambda: LabelSetScores(4)),
        {"decided": DECIDED, "labels": LABELS, "index": INDEX},
    ),
    "LabelRankingScores": Call(
        of_batches(lambda: LabelRankingScores(4, per_class=True)), {**MULTI_LABEL, "index": INDEX}
    ),
    "EachImageOnce": Call(of_batches(once), {"right": SCORES[:, 0], "index": INDEX}),
}
DISTANCES = {
    "squared_distance": torch.tensor([0.1, 0.5, 0.5, 0.2, 1.5, 0.9]),
    "same": torch.tensor([True, False, True, True, False, False]),
}
PAIR_COUNTS = {
    "squared_distance": torch.tensor([0.1, 0.5, 1.5]),
    "same": torch.tensor([3, 1, 0]),
    "different": torch.tensor([0, 2, 7]),
}
FARS = (0.2, 0.5)
CALLS |= {
    "count_pairs": Call(of_sides(metrics.count_pairs), CLASS_SIDES),
    "evaluate_verification": Call(
        lambda **given: metrics.evaluate_verification(Embedded(**given), fars=FARS), ROWS
    ),
    "bootstrap_identities": Call(
        lambda draws, **given: metrics.bootstrap_identities(
            metrics.count_pairs(rows := Embedded(**given)), rows, fars=FARS, draws=draws
        ),
        {**ROWS, "draws": 20},
    ),
    "pair_distances": Call(
        lambda pairs, **given: metrics.pair_distances(*sides(**given), pairs),
        {**SIDES, "pairs": TRIPLETS[:, :2]},
    ),
    "tally_distances": Call(metrics.tally_distances, DISTANCES),
    "fold_accuracy": Call(
        metrics.fold_accuracy, {**DISTANCES, "folds": torch.tensor([0, 0, 1, 1, 1, 0])}
    ),
    "score_verification": Call(
        lambda **given: metrics.score_verification(PairCounts(**given), FARS), PAIR_COUNTS
    ),
    "verification_curve": Call(
        lambda **given: metrics.verification_curve(PairCounts(**given)), PAIR_COUNTS
    ),
    "fit_threshold": Call(lambda **given: metrics.fit_threshold(PairCounts(**given)), PAIR_COUNTS),
    "judge_pairs": Call(lambda **given: metrics.judge_pairs(PairCounts(**given), 0.3), PAIR_COUNTS),
}
CALLS |= {
    name: Call(getattr(metrics, name), MULTI_LABEL)
    for name in (
        "average_precision",
        "coverage",
        "example_average_precision",
        "label_ranking_average_precision",
        "pair_violations",
        "ranking_loss",
    )
}


@pytest.mark.parametrize("name", CALLS)
def test_a_number_as_in_float64_or_a_sentence(name):
    try_disturbed(CALLS[name])


@pytest.mark.parametrize("name", CALLS)
def test_the_call_that_is_disturbed_is_a_good_one(name):
    assert tensors_of(CALLS[name].part(**CALLS[name].arguments))


def test_every_public_metric_is_tried():
    assert set(metrics.__all__) - RECORDS - TAKES_NO_TENSOR == CALLS.keys()
