import math

import numpy as np
import pytest
import torch

from ranklight.datamodules import ByFeatures, ByTable, GradedByAttributes, total_relevance
from ranklight.datamodules import relevance as module


def test_same_class_and_near_above_same_class_above_others():
    labels = torch.tensor([[3.0, 0, 0], [3, 0, 1], [3, 9, 9], [4, 0, 0]])
    relevance = GradedByAttributes(same_class=0.2, length=0.5)
    row = relevance(labels[:1], labels)[0].tolist()
    assert row == pytest.approx([1, 0.2 + 0.8 * math.exp(-2), 0.2, 0], abs=1e-6)
    i, j = np.divmod(np.arange(16), 4)
    of_pairs = relevance.of_pairs(labels)(i, j).reshape(4, 4)
    assert of_pairs == pytest.approx(relevance(labels, labels).numpy(), abs=1e-6)


def test_near_features_are_relevant():
    features = torch.randn(5, 3)
    relevance = ByFeatures(length=2.0)
    expected = (-torch.cdist(features, features) / 2).exp().numpy()
    i, j = np.divmod(np.arange(25), 5)
    assert relevance(features, features).numpy() == pytest.approx(expected, abs=1e-5)
    assert relevance.of_pairs(features)(i, j) == pytest.approx(expected.ravel(), abs=1e-5)


def test_a_table_counts_both_ways_and_0_where_it_is_silent(tmp_path):
    file = tmp_path / "pairs.csv"
    file.write_text("image,other,relevance\na,b,0.5\nc,a,0.25\n")
    table = ByTable.from_csv(str(file), ["a", "b", "c"])
    i, j = np.divmod(np.arange(9), 3)
    assert table.of_pairs(i, j).tolist() == [0, 0.5, 0.25, 0.5, 0, 0, 0.25, 0, 0]
    file.write_text("image,other,relevance\n")
    assert ByTable.from_csv(str(file), ["a"]).of_pairs(i[:1], j[:1]).tolist() == [0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a,d,1", r"line 3: not two known images"),
        ("a,b", r"line 3: not two known images"),
        ("a,c,much", r"line 3: 'much' is no number"),
        ("a,c,-1", r"images 0 and 2 of 3, has relevance -1"),
        ("a,c,nan", "has relevance nan"),
        ("b,a,0.75", "gives some pair of images two relevances"),
    ],
)
def test_bad_tables_are_refused(tmp_path, line, message):
    file = tmp_path / "pairs.csv"
    file.write_text(f"image,other,relevance\na,b,0.5\n{line}\n")
    with pytest.raises(ValueError, match=message):
        ByTable.from_csv(str(file), ["a", "b", "c"])


def test_total_relevance_is_over_the_other_images_of_the_class(monkeypatch):
    monkeypatch.setattr(module, "_PAIRS", 7)
    table = np.random.default_rng(0).random((12, 12))
    classes = np.array([0, 1, 2, 0, 1, 1, 0, 0, 1, 5, 1, 0])
    expected = [
        sum(table[i, j] for j in range(12) if j != i and classes[j] == classes[i])
        for i in range(12)
    ]
    assert total_relevance(lambda i, j: table[i, j], classes) == pytest.approx(np.array(expected))
