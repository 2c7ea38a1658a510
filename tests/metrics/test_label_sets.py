"""Scores of decided sets against scikit-learn and by hand."""

import pytest
import torch
from sklearn.metrics import f1_score, precision_score, recall_score

from ranklight.metrics import LabelSetScores, count_label_sets, evaluate_label_sets


def decided_and_labels(seed, rows=50, classes=6):
    draw = torch.Generator().manual_seed(seed)
    decided = torch.rand(rows, classes, generator=draw) < 0.4
    labels = (torch.rand(rows, classes, generator=draw) < 0.4).float()
    labels[:10] = decided[:10].float()
    labels[0], decided[0] = 0, False
    labels[1], decided[1] = 1, True
    labels[:, 4] = 0
    decided[:, 5] = False
    return decided, labels


@pytest.mark.parametrize("seed", range(4))
def test_as_scikit_learn(seed):
    decided, labels = decided_and_labels(seed)
    scores = evaluate_label_sets(count_label_sets(decided, labels))
    pair = labels.int().numpy(), decided.int().numpy()
    expected = {
        "c_precision": precision_score(*pair, average="macro", zero_division=0),
        "c_recall": recall_score(*pair, average="macro", zero_division=0),
        "mean_class_f1": f1_score(*pair, average="macro", zero_division=0),
        "o_precision": precision_score(*pair, average="micro", zero_division=0),
        "o_recall": recall_score(*pair, average="micro", zero_division=0),
        "o_f1": f1_score(*pair, average="micro", zero_division=0),
        "exact_match": (pair[0] == pair[1]).all(1).mean(),
    }
    precision, recall = expected["c_precision"], expected["c_recall"]
    expected["c_f1"] = 2 * precision * recall / (precision + recall)
    assert {name: score.item() for name, score in scores.items()} == pytest.approx(expected)
    assert scores["mean_class_f1"] <= scores["c_f1"]


def test_by_hand():
    labels = torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, -1.0]])
    decided = torch.tensor([[True, False, False], [False, True, True]])
    counts = count_label_sets(decided, labels)
    assert counts.correct.tolist() == [1, 1, 0]
    assert counts.predicted.tolist() == [1, 1, 0]
    assert counts.actual.tolist() == [1, 2, 0]
    scores = evaluate_label_sets(counts)
    assert scores["c_recall"].item() == pytest.approx((1 + 0.5 + 0) / 3)
    assert scores["mean_class_f1"].item() == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert scores["exact_match"].item() == 0.5


def test_zero_by_zero_is_zero():
    counts = count_label_sets(torch.zeros(2, 3, dtype=torch.bool), torch.zeros(2, 3))
    scores = evaluate_label_sets(counts)
    assert scores.pop("exact_match") == 1
    assert all(score == 0 for score in scores.values())


def test_batches_add_up():
    decided, labels = decided_and_labels(9)
    metric = LabelSetScores(6)
    index = torch.arange(50)
    for rows in (slice(0, 7), slice(7, 50)):
        metric.update(decided[rows], labels[rows], index[rows])
    assert metric.compute() == evaluate_label_sets(count_label_sets(decided, labels))


def test_an_image_that_a_sampler_repeated_counts_once():
    decided, labels = decided_and_labels(3, rows=9)
    metric = LabelSetScores(6)
    again = torch.tensor([4, 0, 1, 2, 3, 4, 5, 0, 8, 7, 6])
    metric.update(decided[again], labels[again], again)
    assert metric.compute() == evaluate_label_sets(count_label_sets(decided, labels))
