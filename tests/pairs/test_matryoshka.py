"""Each prefix is trained as an embedding of its own."""

import pytest
import torch
from torch.nn.functional import normalize

from ranklight.losses import ContrastiveLoss, LogRatioLoss, ProxyAnchorLoss
from ranklight.pairs import (
    ClassCenters,
    CrossBatchMemory,
    LabelCloseness,
    Matryoshka,
    Objective,
)


def batch(seed=0):
    torch.manual_seed(seed)
    return normalize(torch.randn(8, 6)).requires_grad_(), torch.arange(8) // 2


def test_is_the_weighted_sum_over_prefixes():
    z, labels = batch()
    objective = Objective(ContrastiveLoss())
    found = Matryoshka(objective, [2, 3, 6], [1.0, 0.5, 2.0]).evaluate(z, labels)
    expected = sum(
        weight * objective(normalize(z[:, :size]), labels)
        for size, weight in ((2, 1.0), (3, 0.5), (6, 2.0))
    )
    torch.testing.assert_close(found.loss, expected)
    torch.testing.assert_close(torch.autograd.grad(found.loss, z), torch.autograd.grad(expected, z))
    assert list(found.terms) == ["2", "3", "6"]


def test_vectors_of_any_length_are_cut_as_they_are():
    z, labels = batch()[0] * 3, torch.rand(8, 1)
    objective = Objective(LogRatioLoss(), relevance=LabelCloseness())
    found = Matryoshka(objective, [2, 6], normalize=False)(z, labels)
    torch.testing.assert_close(found, objective(z[:, :2], labels) + objective(z, labels))


def test_centers_are_cut_too():
    z, labels = batch()
    centers = ClassCenters(4, 6)
    found = Matryoshka(Objective(ProxyAnchorLoss(), references=centers), [2])(z, labels)
    short = ClassCenters(4, 2)
    short.centers.data.copy_(normalize(centers.centers)[:, :2])
    expected = Objective(ProxyAnchorLoss(), references=short)(normalize(z[:, :2]), labels)
    torch.testing.assert_close(found, expected)


def test_what_references_cost_is_paid_once():
    z, labels = batch()
    centers = ClassCenters(4, 6, centers_per_class=2, center_merging=0.2)
    objective = Objective(ProxyAnchorLoss(), references=centers)
    penalty = centers(z, labels).penalty
    one, two = (Matryoshka(objective, sizes)(z, labels) for sizes in ([2], [2, 6]))
    alone = Matryoshka(objective, [6])(z, labels)
    assert penalty > 0
    torch.testing.assert_close(two, one + alone - penalty)


def test_a_memory_holds_whole_vectors_once():
    memory = CrossBatchMemory(20)
    objective = Matryoshka(Objective(ContrastiveLoss(), references=memory), [2, 4])
    for seed in range(2):
        objective(*batch(seed))
    found = objective.evaluate(*batch(2))
    assert len(memory) == 16
    past = memory(*batch(3)).memory
    assert past.embeddings.shape[1] == 6
    assert found.terms["2"].memory_mined_fraction == 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"prefixes": []}, "one size or more"),
        ({"prefixes": [2, 2]}, "all different"),
        ({"prefixes": [0, 2]}, r"prefixes\[0\] must be 1"),
        ({"prefixes": [2, 4], "weights": [1.0]}, "2 prefixes need as many weights, got 1"),
    ],
)
def test_prefixes_that_are_none_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        Matryoshka(Objective(ContrastiveLoss()), **options)


def test_a_prefix_longer_than_the_embedding_is_refused():
    with pytest.raises(ValueError, match="a prefix of 7 needs embeddings of as many dimensions"):
        Matryoshka(Objective(ContrastiveLoss()), [7])(*batch())
