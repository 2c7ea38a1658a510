"""References and pairs that the caller gives, on one process and two."""

import pytest
import torch
import torch.distributed as dist
from pytorch_metric_learning import losses as peers
from torch.nn.functional import cross_entropy, normalize

from ranklight.losses import ContrastiveLoss, FromPML, InfoNCELoss, MarginLoss, TripletLoss
from ranklight.miners import SemiHard
from ranklight.pairs import (
    ClassCenters,
    CrossBatchMemory,
    InBatch,
    Objective,
    SameClass,
    pairwise_similarity,
)

LABELS, REF_LABELS = torch.tensor([0, 1, 2, 0]), torch.tensor([2, 0, 1, 1, 3, 0])


def vectors(number, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(number, 3, generator=generator, dtype=torch.float64))


def test_labelled_references_hold_no_anchor():
    z, r = vectors(4), vectors(6, 1)
    loss, everything = ContrastiveLoss(), torch.ones(4, 6).bool()
    expected = loss(pairwise_similarity(z, r), SameClass()(LABELS, REF_LABELS), everything)
    found = Objective(loss)(z, LABELS, references=r, ref_labels=REF_LABELS)
    torch.testing.assert_close(found, expected)


def test_without_labels_reference_i_is_that_of_anchor_i():
    images, texts = vectors(5).requires_grad_(), vectors(5, 1).requires_grad_()
    anchors, references = normalize(images), normalize(texts)
    loss = Objective(InfoNCELoss(0.1))(anchors, references=references)
    expected = cross_entropy(anchors @ references.T / 0.1, torch.arange(5))
    torch.testing.assert_close(loss, expected)
    found = torch.autograd.grad(loss, (images, texts), retain_graph=True)
    torch.testing.assert_close(found, torch.autograd.grad(expected, (images, texts)))


@pytest.mark.parametrize("miner", [None, SemiHard()])
def test_pairs_without_labels_are_those_that_labels_say(miner):
    objective, z = Objective(TripletLoss(), miner), vectors(4)
    expected = objective(z, LABELS)
    same = LABELS.unsqueeze(1) == LABELS
    torch.testing.assert_close(objective(z, positive=same), expected)
    torch.testing.assert_close(objective(z, positive=same.nonzero()), expected)


def test_pairs_of_anchors_and_references():
    z, r = vectors(4), vectors(6, 1)
    objective, same = Objective(ContrastiveLoss()), LABELS.unsqueeze(1) == REF_LABELS
    expected = objective(z, LABELS, references=r, ref_labels=REF_LABELS)
    torch.testing.assert_close(objective(z, references=r, positive=same), expected)


def test_a_mask_leaves_pairs_out_and_never_lets_self_pairs_in():
    z, loss = vectors(4), ContrastiveLoss()
    mask = torch.tensor([[1, 1, 0, 1], [1, 1, 1, 0], [0, 0, 1, 1], [1, 1, 1, 1]]).bool()
    similarity, relevance = pairwise_similarity(z, z), SameClass()(LABELS, LABELS)
    expected = loss(similarity, relevance, mask & ~torch.eye(4).bool())
    torch.testing.assert_close(Objective(loss)(z, LABELS, mask=mask), expected)


def test_two_processes_have_the_loss_and_gradient_of_one(run_on_ranks):
    arguments = vectors(4), vectors(4, 1)
    ranks = run_on_ranks(on_my_half, 2, *arguments)
    for name, case in CASES.items():
        loss, *gradients = evaluate(case, *arguments)
        halves = [rank[name] for rank in ranks]
        torch.testing.assert_close((halves[0][0] + halves[1][0]) / 2, loss, msg=name)
        for k, expected in enumerate(gradients):
            found = torch.cat([half[1 + k] for half in halves]) / 2
            torch.testing.assert_close(found, expected, msg=name)


CASES = {
    "two encoders": lambda z, r, labels: Objective(InfoNCELoss())(z, references=r),
    "labels": lambda z, r, labels: Objective(ContrastiveLoss())(
        z, labels, references=r, ref_labels=labels
    ),
    "pairs": lambda z, r, labels: Objective(InfoNCELoss())(
        z, references=r, positive=torch.eye(len(z)).bool()
    ),
}


def evaluate(case, z, r, labels=LABELS):
    z, r = z.clone().requires_grad_(), r.clone().requires_grad_()
    loss = case(z, r, labels)
    return loss.detach(), *torch.autograd.grad(loss, (z, r))


def on_my_half(*arguments):
    halves = [rows.chunk(2)[dist.get_rank()] for rows in (*arguments, LABELS)]
    return {name: evaluate(case, *halves) for name, case in CASES.items()}


R = vectors(6, 1)
SAME = torch.ones(4, 6).bool()


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("labels", "given", "error", "sentence"),
    [
        (None, {}, ValueError, "which pairs are positive must be given"),
        (None, {"mask": SAME}, ValueError, "which pairs are positive must be given"),
        (LABELS, {"references": R}, ValueError, "need ref_labels"),
        (None, {"references": R, "ref_labels": REF_LABELS}, ValueError, "the anchors' labels"),
        (LABELS, {"ref_labels": REF_LABELS}, ValueError, "ref_labels need references"),
        (LABELS, {"positive": SAME}, ValueError, "by labels or by `positive`; got both"),
        (None, {"references": R}, ValueError, "got 4 anchors and 6 references"),
        (None, {"positive": SAME}, ValueError, r"\[4, 4\]; got \[4, 6\]"),
        (None, {"references": R, "positive": SAME.float()}, TypeError, "positive must be Bool"),
        (None, {"positive": torch.tensor([[0, 4]])}, ValueError, r"must be 0\.\.3; got 4"),
        (None, {"positive": torch.tensor([0, 1])}, ValueError, r"shape \[p, 2\]"),
        (LABELS, {"mask": SAME[0]}, ValueError, "mask must have the shape"),
        (LABELS, {"references": R, "ref_labels": LABELS}, ValueError, "6 embeddings need as many"),
        (LABELS[:3], {"references": R, "ref_labels": REF_LABELS}, ValueError, "as many labels"),
        (None, {"references": R[:, :2]}, ValueError, "4 anchors and 6 references"),
    ],
)
def test_what_does_not_say_which_pairs_are_positive_is_refused(labels, given, error, sentence):
    with pytest.raises(error, match=sentence):
        Objective(ContrastiveLoss())(vectors(4), labels, **given)


@pytest.mark.parametrize("references", [ClassCenters(3, 3), CrossBatchMemory(5)])
def test_references_are_given_or_found(references):
    objective = Objective(ContrastiveLoss(), references=references)
    with pytest.raises(ValueError, match=f"stand in for InBatch.*{type(references).__name__}"):
        objective(vectors(4).float(), references=vectors(4, 1).float())


def test_a_part_that_needs_labels_says_so():
    for loss in (MarginLoss(num_classes=3), FromPML(peers.ContrastiveLoss())):
        with pytest.raises(ValueError, match=f"{type(loss).__name__} needs labels; got none"):
            Objective(loss, references=InBatch())(vectors(4), references=vectors(4, 1))
