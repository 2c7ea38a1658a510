import numpy as np
import pytest
import torch

from ranklight.datamodules.samplers import pair_relevance, relevance_of_pairs, total_relevance
from ranklight.pairs import ByFeatures, GradedByAttributes, LabelCloseness, LabelOverlap, SameClass

ATTRIBUTES = torch.tensor([[3.0, 0.0, 0.0], [3.0, 0.0, 1.0], [3.0, 9.0, 9.0], [4.0, 0.0, 0.0]])


@pytest.mark.parametrize(
    ("relevance", "labels"),
    [
        (GradedByAttributes(same_class=0.2, length=0.5), ATTRIBUTES),
        (ByFeatures(length=2.0), ATTRIBUTES),
        (LabelCloseness(), ATTRIBUTES),
        (SameClass(), torch.tensor([2, 0, 2, 1])),
        (LabelOverlap(), torch.tensor([[1, 1, 0], [0, 1, 1], [0, 0, 0], [1, 1, 1]])),
    ],
)
def test_pairs_have_the_entries_of_the_matrix(relevance, labels):
    i, j = np.divmod(np.arange(16), 4)
    of_pairs = relevance_of_pairs(relevance, labels)(i, j)
    assert of_pairs.dtype == np.float64
    assert of_pairs.reshape(4, 4) == pytest.approx(relevance(labels, labels).numpy(), abs=1e-6)


def test_total_relevance_is_over_the_other_images_of_the_class(monkeypatch):
    monkeypatch.setattr(pair_relevance, "_PAIRS_AT_ONCE", 7)
    table = np.random.default_rng(0).random((12, 12))
    classes = np.array([0, 1, 2, 0, 1, 1, 0, 0, 1, 5, 1, 0])
    expected = [
        sum(table[i, j] for j in range(12) if j != i and classes[j] == classes[i])
        for i in range(12)
    ]
    assert total_relevance(lambda i, j: table[i, j], classes) == pytest.approx(np.array(expected))
