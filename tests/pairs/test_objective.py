"""An objective is loss(S, R, miner(S, R, M)), and reports what the miner kept."""

import pytest
import torch
from torch import nn

from ranklight.losses import ContrastiveLoss, MultiSimilarityLoss
from ranklight.miners import KeepAll, MultiSimilarityMiner
from ranklight.pairs import (
    ClassCenters,
    InBatch,
    LabelCloseness,
    Objective,
    SameClass,
    compare,
)


@pytest.fixture
def batch():
    torch.manual_seed(0)
    embeddings = nn.functional.normalize(torch.randn(8, 5)).requires_grad_()
    return embeddings, torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])


class KeepOpponents(nn.Module):
    def forward(self, similarity, relevance, mask):
        assert not similarity.requires_grad
        return torch.where(mask & (relevance > 0), 0, -1)


class CountOpponents(nn.Module):
    def forward(self, similarity, relevance, selection):
        return similarity.sum() * 0 + (selection >= 0).sum()


def test_is_the_loss_of_the_mined_pairs(batch):
    loss, miner = MultiSimilarityLoss(), MultiSimilarityMiner()
    similarity, relevance, mask = compare(*batch, InBatch(), SameClass())
    expected = loss(similarity, relevance, miner(similarity.detach(), relevance, mask))
    torch.testing.assert_close(Objective(loss, miner)(*batch), expected)


def test_by_default_every_pair_of_the_batch_counts(batch):
    plain, spelt_out = (
        Objective(ContrastiveLoss()),
        Objective(ContrastiveLoss(), KeepAll(), InBatch(), SameClass()),
    )
    torch.testing.assert_close(plain(*batch), spelt_out(*batch))
    assert plain.evaluate(*batch).mined_fraction == 1


def test_reports_the_share_of_pairs_that_the_miner_kept(batch):
    evaluated = Objective(CountOpponents(), KeepOpponents()).evaluate(*batch)
    assert evaluated.loss == 8
    torch.testing.assert_close(evaluated.mined_fraction, torch.tensor(8 / 56))


def test_gradient_reaches_the_embeddings_and_the_learned_references(batch):
    objective = Objective(MultiSimilarityLoss(), references=ClassCenters(4, 5))
    objective(*batch).backward()
    assert batch[0].grad.abs().sum() > 0
    assert objective.references.centers.grad.abs().sum() > 0
    assert [name for name, _ in objective.named_parameters()] == ["references.centers"]


def test_relevance_is_a_free_choice(batch):
    embeddings, labels = batch
    objective = Objective(ContrastiveLoss(), relevance=LabelCloseness())
    assert objective(embeddings, labels.float() / 4).isfinite()


def test_a_batch_of_one_costs_nothing(batch):
    embeddings, labels = batch
    loss = Objective(MultiSimilarityLoss(), MultiSimilarityMiner())(embeddings[:1], labels[:1])
    loss.backward()
    assert loss == 0
    assert (embeddings.grad == 0).all()


@pytest.mark.usefixtures("unchecked")
def test_refuses_a_label_too_few(batch):
    embeddings, labels = batch
    with pytest.raises(ValueError, match="8 embeddings need as many labels, got 7"):
        Objective(ContrastiveLoss())(embeddings, labels[:7])
