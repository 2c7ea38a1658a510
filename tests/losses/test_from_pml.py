"""Losses of pytorch-metric-learning in our objective, with miners and references of both."""

import pytest
import torch
import torch.nn.functional as F
from pytorch_metric_learning import losses as peers
from pytorch_metric_learning import miners as peer_miners

from ranklight import miners
from ranklight.losses import FromPML, TripletLoss
from ranklight.pairs import ClassCenters, CrossBatchMemory, Objective


def batch(seed=0):
    torch.manual_seed(seed)
    z = F.normalize(torch.randn(24, 8, dtype=torch.float64)).requires_grad_()
    return z, torch.randint(5, (24,))


def value_and_gradient(loss, *batch):
    value = loss(*batch)
    return value.detach(), torch.autograd.grad(value, batch[0])[0]


@pytest.mark.parametrize(
    "peer",
    [
        peers.CircleLoss(),
        peers.TupletMarginLoss(),
        peers.VICRegLoss,
        peers.NCALoss(),
        peers.TripletMarginLoss(),
        peers.ArcFaceLoss(num_classes=5, embedding_size=8).double(),
    ],
)
def test_is_the_familiar_call(peer):
    if peer is peers.VICRegLoss:
        with pytest.raises(ValueError, match="labels"):
            Objective(FromPML(peer()))(*batch())
        return
    z, labels = batch()
    ours = value_and_gradient(Objective(FromPML(peer)), z, labels)
    torch.testing.assert_close(ours, value_and_gradient(peer, z, labels))


@pytest.mark.parametrize(
    "miner",
    [
        peer_miners.MultiSimilarityMiner(),
        peer_miners.TripletMarginMiner(0.2, type_of_triplets="hard"),
    ],
)
@pytest.mark.parametrize("peer", [peers.TripletMarginLoss(), peers.CircleLoss()])
def test_with_a_miner_of_theirs(peer, miner):
    z, labels = batch()
    ours = value_and_gradient(Objective(FromPML(peer, miner)), z, labels)
    theirs = value_and_gradient(lambda z, labels: peer(z, labels, miner(z, labels)), z, labels)
    torch.testing.assert_close(ours, theirs)


def test_with_a_miner_of_ours():
    z, labels = batch()
    peer, peer_miner = peers.MultiSimilarityLoss(), peer_miners.MultiSimilarityMiner()
    objective = Objective(FromPML(peer), miners.MultiSimilarityMiner())
    ours = value_and_gradient(objective, z, labels)
    theirs = value_and_gradient(lambda z, labels: peer(z, labels, peer_miner(z, labels)), z, labels)
    torch.testing.assert_close(ours, theirs)
    assert 0 < objective.evaluate(z, labels).mined_fraction < 1


def test_what_learns_in_it_is_a_parameter_of_the_objective():
    objective = Objective(FromPML(peers.ProxyAnchorLoss(num_classes=5, embedding_size=8)))
    assert [p.shape for p in objective.parameters()] == [(5, 8)]


def test_a_memory_of_ours_is_references_of_theirs():
    theirs = Objective(FromPML(peers.ContrastiveLoss()), references=CrossBatchMemory(30))
    for seed in range(3):
        z, labels = batch(seed)
        index = torch.arange(24) + 12 * seed  # a half of the images come again
        found = theirs.evaluate(z, labels, index)
    past = torch.cat([batch(0)[0][18:], batch(1)[0]]), torch.cat([batch(0)[1][18:], batch(1)[1]])
    then = torch.cat([torch.arange(18, 24), torch.arange(12, 36)])
    same = labels.unsqueeze(1) == past[1]
    kept = index.unsqueeze(1) != then
    pairs = (*torch.where(same & kept), *torch.where(~same & kept))
    peer = peers.ContrastiveLoss()
    expected = peer(z, labels) + peer(z, labels, pairs, *past)
    torch.testing.assert_close(found.loss, expected)


def test_references_that_a_loss_cannot_take_are_refused_by_it():
    peer = peers.ArcFaceLoss(num_classes=5, embedding_size=8)
    objective = Objective(FromPML(peer), references=ClassCenters(5, 8).double())
    with pytest.raises(ValueError, match="ref_emb"):
        objective(*batch())


@pytest.mark.usefixtures("unchecked")
def test_triplets_of_ours_are_refused():
    with pytest.raises(TypeError, match="triplet miners of pytorch-metric-learning"):
        Objective(FromPML(peers.TripletMarginLoss()), miners.SemiHard())(*batch())


@pytest.mark.usefixtures("unchecked")
def test_a_loss_or_a_miner_of_ours_is_refused():
    with pytest.raises(ValueError, match="takes a loss of pytorch-metric-learning; TripletLoss"):
        FromPML(TripletLoss())
    with pytest.raises(ValueError, match="takes a miner of pytorch-metric-learning; SemiHard"):
        FromPML(peers.TripletMarginLoss(), miners.SemiHard())
    with pytest.raises(ValueError, match="takes a miner of pytorch-metric-learning; SemiHard"):
        miners.FromPML(miners.SemiHard())
