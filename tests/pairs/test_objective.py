"""An objective is loss(S, R, miner(S, R, M)), and reports what the miner kept."""

import warnings

import pytest
import torch
from torch import nn

from ranklight import losses
from ranklight.losses import ContrastiveLoss, MultiSimilarityLoss, TripletLoss
from ranklight.miners import KeepAll, MultiSimilarityMiner
from ranklight.pairs import (
    ClassCenters,
    CrossBatchMemory,
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


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("embeddings", "labels", "error", "sentence"),
    [
        ([[1.0, 0.0]], torch.tensor([0]), TypeError, "embeddings must be a torch.Tensor; got list"),
        (torch.ones(1, 2), [0], TypeError, "labels must be a torch.Tensor; got list"),
        (torch.ones(1, 2).numpy(), torch.zeros(1), TypeError, "torch.Tensor; got ndarray"),
        (torch.ones(3), torch.arange(3), ValueError, r"embeddings must have .*\[n, d\]; got \[3\]"),
        (torch.ones(3, 2).long(), torch.arange(3), TypeError, "must be floats; got torch.int64"),
        (torch.ones(1, 2), torch.tensor(0), ValueError, "one number without a dimension"),
        (torch.ones(1, 2), torch.zeros(1, device="meta"), ValueError, "one device; got embeddings"),
    ],
)
@pytest.mark.parametrize("references", [InBatch(), ClassCenters(3, 2), CrossBatchMemory(5)])
def test_what_is_no_batch_is_refused(embeddings, labels, error, sentence, references):
    objective = Objective(ContrastiveLoss(), references=references)
    for call in (objective, references):
        with pytest.raises(error, match=sentence):
            call(embeddings, labels)


@pytest.mark.parametrize("references", [InBatch(), ClassCenters(3, 5), CrossBatchMemory(5)])
def test_an_empty_batch_costs_nothing(references):
    objective = Objective(MultiSimilarityLoss(), MultiSimilarityMiner(), references)
    embeddings = torch.ones(0, 5, requires_grad=True)
    loss = objective(embeddings, torch.arange(0))
    loss.backward()
    assert loss == 0
    assert all((p.grad == 0).all() for p in objective.parameters())


def angles():
    return [name for name in losses.__all__ if _wants(getattr(losses, name))]


def _wants(part):
    return getattr(part, "wants_unit_vectors", False)


def test_losses_of_angles_say_that_they_want_unit_vectors():
    assert angles() == [
        "ArcFaceLoss",
        "CircleLoss",
        "ContrastiveLoss",
        "CosFaceLoss",
        "FastAPLoss",
        "InfoNCELoss",
        "MarginLoss",
        "MultiSimilarityLoss",
        "NormalizedSoftmaxLoss",
        "ProxyAnchorLoss",
        "ProxyNCALoss",
        "RankSimLoss",
        "RecallAtKLoss",
        "SmoothAPLoss",
        "SoftTripleLoss",
        "SubCenterArcFaceLoss",
        "SupAPLoss",
        "SupConLoss",
        "ThresholdConsistentMarginLoss",
    ]


@pytest.mark.parametrize("name", angles())
def test_other_embeddings_are_warned_of_once(name):
    loss = getattr(losses, name)()
    several = getattr(loss, "centers_per_class", 1)
    objective = Objective(loss, references=ClassCenters(2, 4, centers_per_class=several))
    labels = torch.tensor([0, 0, 1, 1])
    with pytest.warns(UserWarning, match=rf"{name}: unit vectors are needed.* 2 to 2"):
        objective(torch.eye(4) * 2, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        objective(torch.eye(4) * 2, labels)


def test_nothing_is_said_of_unit_vectors_nor_where_they_are_not_wanted():
    labels = torch.tensor([0, 0, 1, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Objective(ContrastiveLoss())(torch.eye(4).bfloat16() * 1.002, labels)
        Objective(TripletLoss())(torch.eye(4) * 9, labels)
