"""A sum of objectives is the sum of its terms, each with references of its own."""

import pytest
import torch
from torch.nn.functional import normalize

from ranklight.losses import ContrastiveLoss, ProxyAnchorLoss, ThresholdConsistentMarginLoss
from ranklight.miners import MultiSimilarityMiner
from ranklight.pairs import ClassCenters, Objective, WeightedSum


@pytest.fixture
def batch():
    torch.manual_seed(0)
    return normalize(torch.randn(8, 5)).requires_grad_(), torch.arange(8) // 2


def test_value_gradient_and_terms(batch):
    torch.manual_seed(0)
    proxies = Objective(ProxyAnchorLoss(), references=ClassCenters(4, 5))
    pairs = Objective(ContrastiveLoss(), MultiSimilarityMiner())
    both = WeightedSum({"proxies": proxies, "pairs": pairs}, {"pairs": 0.5})
    expected = proxies(*batch) + 0.5 * pairs(*batch)
    found = both.evaluate(*batch)
    torch.testing.assert_close(found.loss, expected)
    torch.testing.assert_close(
        torch.autograd.grad(found.loss, batch[0]), torch.autograd.grad(expected, batch[0])
    )
    named = found.by_name()
    assert list(named) == [
        "proxies/loss",
        "proxies/mined_fraction",
        "pairs/loss",
        "pairs/mined_fraction",
    ]
    torch.testing.assert_close(named["pairs/loss"], pairs(*batch).detach())
    assert [n for n, _ in both.named_parameters()] == ["objectives.proxies.references.centers"]


def test_what_is_given_is_given_to_each(batch):
    one = Objective(ContrastiveLoss())
    both = WeightedSum({"a": one, "b": Objective(ThresholdConsistentMarginLoss())})
    references = batch[0].detach().flip(0)
    expected = one(batch[0], references=references)
    found = both.evaluate(batch[0], references=references)
    torch.testing.assert_close(found.terms["a"].loss, expected)


def test_labels_are_checked_by_each():
    both = WeightedSum({"a": Objective(ProxyAnchorLoss(), references=ClassCenters(4, 5))})
    with pytest.raises(ValueError, match="labels of ClassCenters"):
        both.check_labels(torch.tensor([4]))


def test_weights_of_nothing_are_refused():
    with pytest.raises(ValueError, match="one objective or more"):
        WeightedSum({})
    with pytest.raises(ValueError, match="weights are of the objectives a; got one of b"):
        WeightedSum({"a": Objective(ContrastiveLoss())}, {"b": 1.0})


def test_a_loss_is_no_objective():
    with pytest.raises(ValueError, match="a of a sum takes an objective, and ContrastiveLoss"):
        WeightedSum({"a": ContrastiveLoss()})
