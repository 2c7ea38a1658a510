"""Ranking scores against scikit-learn, torchmetrics and loops over pairs."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    average_precision_score,
    coverage_error,
    label_ranking_average_precision_score,
    label_ranking_loss,
)
from torchmetrics.functional.classification import multilabel_average_precision

from ranklight.kernels.distributed import rank_and_world_size
from ranklight.metrics import (
    LabelRankingScores,
    average_precision,
    coverage,
    example_average_precision,
    label_ranking_average_precision,
    pair_violations,
    ranking_loss,
)

FUNCTIONS = [
    average_precision,
    coverage,
    example_average_precision,
    label_ranking_average_precision,
    pair_violations,
    ranking_loss,
]


def examples(seed, ties=True, rows=40, classes=7):
    """Rows 0..1 without labels, 2..3 with all; nobody has class 0 of the others, class 1 all."""
    draw = torch.Generator().manual_seed(seed)
    scores = torch.randn(rows, classes, generator=draw)
    if ties:
        scores = (scores * 2).round() / 2
    labels = (torch.rand(rows, classes, generator=draw) < 0.35).float()
    labels[:2] = 0
    labels[2:4] = 1
    return scores, labels


def without_some(seed, share=0.3):
    scores, labels = examples(seed)
    draw = torch.Generator().manual_seed(seed + 100)
    unknown = torch.rand(labels.shape, generator=draw) < share
    return scores, labels.masked_fill(unknown, -1)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("ties", [True, False])
def test_as_scikit_learn(seed, ties):
    scores, labels = examples(seed, ties)
    labels[:, 0] = 0
    pair = labels.int().numpy(), scores.double().numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        classes = average_precision_score(*pair, average=None)
    np.testing.assert_allclose(average_precision(scores, labels), classes, rtol=1e-12)
    for ours, theirs in [
        (label_ranking_average_precision, label_ranking_average_precision_score),
        (ranking_loss, label_ranking_loss),
        (coverage, coverage_error),
    ]:
        assert ours(scores, labels).mean().item() == pytest.approx(theirs(*pair), rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_each_image_is_as_scikit_learn_has_it_alone(seed):
    scores, labels = examples(seed)
    for row in range(len(labels)):
        pair = labels[row : row + 1].int().numpy(), scores[row : row + 1].double().numpy()
        one = slice(row, row + 1)
        for ours, theirs in [
            (label_ranking_average_precision, label_ranking_average_precision_score),
            (ranking_loss, label_ranking_loss),
            (coverage, coverage_error),
        ]:
            found = ours(scores[one], labels[one]).item()
            assert found == pytest.approx(theirs(*pair), rel=1e-12)


def test_as_torchmetrics_where_it_does_not_squash():
    scores, labels = examples(3, ties=False)
    scores = scores.sigmoid()
    theirs = multilabel_average_precision(scores, labels.int(), 7, average=None)
    np.testing.assert_allclose(average_precision(scores, labels), theirs, rtol=1e-5)


def test_large_logits_stay_apart():
    scores = torch.tensor([[30.0], [40.0], [50.0]]).expand(-1, 2)
    labels = torch.tensor([[0.0], [0.0], [1.0]]).expand(-1, 2)
    assert average_precision(scores, labels).tolist() == [1, 1]
    squashed = multilabel_average_precision(scores, labels.int(), 2)
    assert squashed.item() == pytest.approx(1 / 3)


@pytest.mark.parametrize("known", [True, False])
def test_example_ap_and_violations_are_their_loops(known):
    scores, labels = examples(7) if known else without_some(7)
    for i, (row, truth) in enumerate(zip(scores.tolist(), labels.tolist(), strict=True)):
        positives = [s for s, t in zip(row, truth, strict=True) if t == 1]
        negatives = [s for s, t in zip(row, truth, strict=True) if t == 0]
        precisions = [
            sum(w >= v for w in positives) / sum(w >= v for w in positives + negatives)
            for v in positives
        ]
        wrong = [(v < u) + 0.5 * (v == u) for v in positives for u in negatives]
        expected = sum(precisions) / max(1, len(precisions)), sum(wrong) / max(1, len(wrong))
        one = scores[i : i + 1], labels[i : i + 1]
        assert example_average_precision(*one).item() == pytest.approx(expected[0])
        assert pair_violations(*one).item() == pytest.approx(expected[1])


@pytest.mark.parametrize("score", FUNCTIONS, ids=lambda score: score.__name__)
def test_unknown_labels_count_nowhere(score):
    scores, labels = without_some(5)
    moved = torch.where(labels < 0, torch.randn_like(scores) * 100, scores)
    torch.testing.assert_close(score(scores, labels), score(moved, labels), rtol=0, atol=0)
    if score is not average_precision:
        row, kept = 9, labels[9] >= 0
        alone = score(scores[row : row + 1, kept], labels[row : row + 1, kept])
        torch.testing.assert_close(score(scores, labels)[row : row + 1], alone)


def test_nothing_to_rank():
    scores = torch.randn(3, 4)
    labels = torch.tensor([[0.0] * 4, [1.0] * 4, [-1.0] * 4])
    assert example_average_precision(scores, labels).tolist() == [0, 1, 0]
    assert label_ranking_average_precision(scores, labels).tolist() == [1, 1, 1]
    assert ranking_loss(scores, labels).tolist() == [0, 0, 0]
    assert pair_violations(scores, labels).tolist() == [0, 0, 0]
    assert coverage(scores, labels).tolist() == [0, 4, 0]
    assert average_precision(scores[::2], labels[::2]).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("score", FUNCTIONS, ids=lambda score: score.__name__)
def test_scores_that_cannot_be_ranked_are_refused(score):
    with pytest.raises(ValueError, match="NaN or infinity"):
        score(torch.tensor([[1.0, torch.nan]]), torch.tensor([[1.0, 0.0]]))


def test_the_metric_is_the_means_of_all_batches():
    scores, labels = without_some(11)
    metric = LabelRankingScores(7, per_class=True)
    for rows in (slice(0, 5), slice(5, 40)):
        metric.update(scores[rows], labels[rows], torch.arange(40)[rows])
    found = metric.compute()
    assert found["map_macro"] == average_precision(scores, labels).mean()
    assert found["coverage"] == coverage(scores, labels).mean()
    assert found["ap/3"] == average_precision(scores, labels)[3]
    assert set(found) - {f"ap/{k}" for k in range(7)} == {
        "map_macro",
        "example_ap",
        "lrap",
        "ranking_loss",
        "pair_violations",
        "coverage",
    }
    metric.reset()
    metric.update(scores[:1], labels[:1], torch.arange(1))
    assert metric.compute()["lrap"] == label_ranking_average_precision(scores[:1], labels[:1])


def scored_on_ranks(size):
    rank, world_size = rank_and_world_size()
    scores, labels = without_some(2)
    metric = LabelRankingScores(7)
    for row in range(rank, size, world_size):
        one = slice(row, row + 1)
        metric.update(scores[one], labels[one], torch.tensor([row]))
    return {name: score.item() for name, score in metric.compute().items()}


@pytest.mark.parametrize("size", [31, 1])
def test_ranks_with_uneven_or_empty_shards_give_one_process_score(run_on_ranks, size):
    alone = scored_on_ranks(size)
    assert run_on_ranks(scored_on_ranks, 2, size) == [alone, alone]


def test_an_image_that_a_sampler_repeated_counts_once():
    draw = torch.Generator().manual_seed(0)
    scores = torch.rand(6, 3, generator=draw)
    labels = (torch.rand(6, 3, generator=draw) < 0.5).float()
    once, twice = LabelRankingScores(3, per_class=True), LabelRankingScores(3, per_class=True)
    once.update(scores, labels, torch.arange(6))
    again = torch.tensor([4, 0, 1, 2, 3, 4, 5, 0])
    twice.update(scores[again], labels[again], again)
    assert twice.compute() == once.compute()
