"""The hardest negatives of all images, against loops over all pairs."""

import math

import pytest
import torch

from ranklight.datamodules import Mining, hardest_negatives
from ranklight.search import Embedded

SIZE = 41


def images(size=SIZE, classes=4):
    draw = torch.Generator().manual_seed(size)
    embeddings = torch.randn(size, 5, generator=draw)
    # Copies under another label, and a class of one image.
    embeddings[3] = embeddings[4]
    labels = torch.randint(classes, (size,), generator=draw)
    labels[3], labels[4], labels[5] = 0, 1, classes
    return torch.nn.functional.normalize(embeddings, dim=1), labels


def by_loops(embeddings, labels, negatives, margin):
    similarity = 1 - 0.5 * torch.cdist(embeddings.double(), embeddings.double()).square()
    lists = []
    for i, label in enumerate(labels):
        positives = [float(similarity[i, j]) for j in range(len(labels)) if labels[j] == label]
        positives.remove(float(similarity[i, i]))
        limit = margin if margin == torch.inf else max(positives, default=-torch.inf) + margin
        found = [
            (-float(similarity[i, j]), j)
            for j in range(len(labels))
            if labels[j] != label and similarity[i, j] <= limit
        ]
        row = [j for _, j in sorted(found)][:negatives]
        lists.append(row + [-1] * (negatives - len(row)))
    return torch.tensor(lists)


@pytest.mark.parametrize("margin", [None, 0.2, -0.3])
@pytest.mark.parametrize("negatives", [3, 35])
def test_they_are_the_nearest_of_other_classes_within_the_margin(negatives, margin):
    embeddings, labels = images()
    wanted = by_loops(embeddings, labels, negatives, torch.inf if margin is None else margin)
    found = hardest_negatives(Embedded(embeddings, labels), negatives, margin)
    assert torch.equal(found, wanted)


def test_a_copy_under_another_label_is_left_out_by_the_margin():
    embeddings, labels = images()
    everything = hardest_negatives(Embedded(embeddings, labels), 3)
    assert everything[3, 0] == 4
    assert 4 not in hardest_negatives(Embedded(embeddings, labels), 3, margin=-0.01)[3]


def test_it_is_due_every_so_many_epochs():
    mining = Mining(every_n_epochs=3, first_epoch=2)
    assert [epoch for epoch in range(10) if mining.is_due(epoch)] == [2, 5, 8]


@pytest.mark.parametrize(
    "wrong", [{"every_n_epochs": 0}, {"negatives": 0}, {"first_epoch": -1}, {"margin": math.nan}]
)
def test_numbers_that_cannot_be(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}.* must be .*got"):
        Mining(**wrong)
