"""A memory leads with the batch, holds what came before it, and is the same on every rank."""

import copy

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F

from ranklight.losses import ContrastiveLoss
from ranklight.pairs import (
    CrossBatchMemory,
    InBatch,
    LabelCloseness,
    Objective,
    SharesLabel,
    pairwise_similarity,
)

DIM = 4


def batch(step, size=6):
    generator = torch.Generator().manual_seed(step)
    embeddings = F.normalize(torch.randn(size, DIM, generator=generator))
    index = torch.arange(size) + size * step
    return embeddings, index % 3, index


def filled(memory, steps):
    for step in range(steps):
        memory(*batch(step))
    return memory


def test_the_batch_leads_and_the_past_is_what_was_enqueued():
    memory = filled(CrossBatchMemory(size=100), 3)
    found = memory(*batch(3))
    own = InBatch()(*batch(3)[:2])
    assert torch.equal(found.embeddings, own.embeddings)
    assert torch.equal(found.mask, own.mask)
    expected = torch.cat([batch(step)[0] for step in range(3)])
    assert torch.equal(found.memory.embeddings, expected)
    assert found.memory.mask.all()


def test_only_the_newest_rows_stay():
    memory = filled(CrossBatchMemory(size=8), 4)
    past = memory(*batch(4)).memory
    newest = torch.cat([batch(step)[0] for step in range(4)])[-8:]
    assert len(past.embeddings) == 8
    assert {tuple(row) for row in past.embeddings.tolist()} == {
        tuple(row) for row in newest.tolist()
    }


def test_a_batch_larger_than_the_memory_leaves_its_end():
    memory = filled(CrossBatchMemory(size=4), 1)
    assert {tuple(row) for row in memory(*batch(1)).memory.embeddings.tolist()} == {
        tuple(row) for row in batch(0)[0][-4:].tolist()
    }


def test_an_images_own_past_is_no_reference_of_it():
    memory = filled(CrossBatchMemory(size=100), 2)
    embeddings, labels, index = batch(0)
    past = memory(embeddings, labels, index).memory
    expected = index.unsqueeze(1) != torch.arange(12).unsqueeze(0)
    assert torch.equal(past.mask, expected)


def test_the_past_carries_no_gradient_and_the_batch_does():
    objective = Objective(ContrastiveLoss(), references=CrossBatchMemory(100))
    first = batch(0)[0].requires_grad_()
    objective(first, *batch(0)[1:])
    second = batch(1)[0].requires_grad_()
    objective(second, *batch(1)[1:]).backward()
    assert first.grad is None
    assert second.grad.abs().sum() > 0


@pytest.mark.parametrize("weight", [1.0, 0.25])
def test_two_terms_or_one_joined(weight):
    loss = ContrastiveLoss(average="anchors")
    two = Objective(loss, references=filled(CrossBatchMemory(50, weight=weight), 2))
    joined = Objective(loss, references=filled(CrossBatchMemory(50, joined=True), 2))
    embeddings, labels, index = batch(2)
    past = torch.cat([batch(step)[0] for step in range(2)])
    past_labels = torch.cat([batch(step)[1] for step in range(2)])
    alone = loss(
        embeddings @ past.T,
        (labels.unsqueeze(1) == past_labels).float(),
        torch.ones(6, 12, dtype=torch.bool),
    )
    now = Objective(loss)(embeddings, labels)
    torch.testing.assert_close(two(embeddings, labels, index), now + weight * alone)
    torch.testing.assert_close(joined(embeddings, labels, index), now + alone)


def test_it_fills_while_it_waits_for_its_start():
    memory = CrossBatchMemory(100, start_step=2)
    assert memory(*batch(0)).memory is None
    assert memory(*batch(1)).memory is None
    assert len(memory(*batch(2)).memory.embeddings) == 12


def test_evaluation_reads_it_and_leaves_it_alone():
    memory = filled(CrossBatchMemory(100), 2).eval()
    for _ in range(2):
        assert len(memory(*batch(2)).memory.embeddings) == 12
    assert memory.steps == 2


def test_what_a_step_refers_to_stays_until_its_backward():
    memory = filled(CrossBatchMemory(size=6), 1)
    embeddings = batch(1)[0].requires_grad_()
    found = memory(embeddings, *batch(1)[1:])
    similarity = pairwise_similarity(embeddings, found.memory.embeddings)
    similarity.sum().backward()
    assert torch.equal(found.memory.embeddings, batch(0)[0])


def test_reset_forgets():
    memory = filled(CrossBatchMemory(100), 2)
    memory.reset()
    assert memory(*batch(0)).memory is None


def test_age_and_drift():
    memory = filled(CrossBatchMemory(100), 2)
    embeddings, labels, index = batch(0)
    memory(F.normalize(embeddings + 0.1), labels, index)
    assert memory.diagnostics["memory_age"] == 1.5
    moved = (F.normalize(embeddings + 0.1) - embeddings).square().sum(1).mean()
    torch.testing.assert_close(memory.diagnostics["memory_drift"], moved)


def test_the_state_goes_on_where_it_was_saved():
    saved = filled(CrossBatchMemory(10), 3)
    restored = CrossBatchMemory(10)
    restored.load_state_dict(saved.state_dict())
    for step in (3, 4):
        one, other = saved(*batch(step)), restored(*batch(step))
        assert torch.equal(one.memory.embeddings, other.memory.embeddings)
        assert torch.equal(one.memory.mask, other.memory.mask)
    assert saved.steps == restored.steps == 5


def test_a_state_of_another_size_is_refused():
    state = filled(CrossBatchMemory(10), 1).state_dict()
    with pytest.raises(ValueError, match="memory of 10 rows, this one has 20"):
        CrossBatchMemory(20).load_state_dict(state)


def test_a_state_of_another_dimension_is_refused():
    memory = filled(CrossBatchMemory(10), 1)
    other = CrossBatchMemory(10)
    other(torch.randn(3, DIM + 1), torch.arange(3), torch.arange(3))
    with pytest.raises(ValueError, match="4 dimensions, this one 5"):
        other.load_state_dict(memory.state_dict())


def test_no_room():
    with pytest.raises(ValueError, match="size=0"):
        CrossBatchMemory(0)


@pytest.mark.parametrize(
    ("relevance", "labels"),
    [
        (SharesLabel(), torch.tensor([[1, 0], [0, 1], [1, 1]])),
        (LabelCloseness(), torch.tensor([[0.5, 0.0], [0.0, 2.0], [0.1, 1.0]])),
    ],
)
def test_labels_of_any_kind(relevance, labels):
    references = CrossBatchMemory(10)
    objective = Objective(ContrastiveLoss(), references=references, relevance=relevance)
    for step in range(2):
        loss = objective(torch.randn(3, DIM), labels, torch.arange(3) + 3 * step)
    assert loss > 0
    assert torch.equal(references.eval()(torch.randn(3, DIM), labels).memory.labels[:3], labels)


def rank_shares(steps):
    rank, world = dist.get_rank(), dist.get_world_size()
    memory = CrossBatchMemory(20)
    objective = Objective(ContrastiveLoss(), references=memory)
    gradients = []
    for step in range(steps):
        embeddings, labels, index = (rows[rank::world] for rows in batch(step, 8))
        embeddings = embeddings.double().requires_grad_()
        objective(embeddings, labels, index).backward()
        gradients.append(embeddings.grad / world)
    return memory.state_dict()["_extra_state"]["rows"], gradients


@pytest.mark.parametrize("world", [2, 4])
def test_every_rank_holds_the_memory_of_one_process_and_its_gradient(run_on_ranks, world):
    (alone, whole), *_ = run_on_ranks(rank_shares, 1, 4)
    for rank, (rows, gradients) in enumerate(run_on_ranks(rank_shares, world, 4)):
        for name in alone:
            assert torch.equal(rows[name], alone[name])
        for step, gradient in enumerate(gradients):
            torch.testing.assert_close(gradient, whole[step][rank::world], rtol=1e-9, atol=1e-12)


def test_any_integers_name_images():
    one, other = (filled(CrossBatchMemory(10), 2) for _ in range(2))
    embeddings, labels, index = batch(0)
    expected, found = one(embeddings, labels, index), other(embeddings, labels, index.int())
    assert torch.equal(found.memory.mask, expected.memory.mask)
    assert other.diagnostics == one.diagnostics


def test_two_forwards_before_one_backward_are_two_terms():
    gradients = []
    for together in (True, False):
        objective = Objective(ContrastiveLoss(), references=filled(CrossBatchMemory(8), 2))
        inputs = [batch(step)[0].requires_grad_() for step in (2, 3)]
        losses = []
        for step, embeddings in zip((2, 3), inputs, strict=True):
            losses.append(objective(embeddings, *batch(step)[1:]))
            if not together:
                losses.pop().backward()
        if together:
            sum(losses).backward()
        gradients.append([embeddings.grad for embeddings in inputs])
    torch.testing.assert_close(gradients[0], gradients[1])


def test_what_was_handed_out_does_not_change():
    memory = filled(CrossBatchMemory(6), 1)
    past = memory(*batch(1)).memory
    memory(*batch(2))
    assert torch.equal(past.embeddings, batch(0)[0])
    assert torch.equal(past.labels, batch(0)[1])


def test_a_step_that_is_over_costs_no_copy():
    memory = filled(CrossBatchMemory(6), 3)
    place = memory._rows["embeddings"].data_ptr()
    objective = Objective(ContrastiveLoss(), references=memory)
    for step in (3, 4, 5):
        objective(batch(step)[0].requires_grad_(), *batch(step)[1:]).backward()
    assert memory._rows["embeddings"].data_ptr() == place


def test_training_goes_on_after_inference_mode():
    expected = CrossBatchMemory(8)
    memory = CrossBatchMemory(8)
    with torch.inference_mode():
        memory(*batch(0))
        memory(*batch(1))
    filled(expected, 2)
    for step in (2, 3):
        embeddings = batch(step)[0].requires_grad_()
        found = memory(embeddings, *batch(step)[1:])
        pairwise_similarity(embeddings, found.memory.embeddings).sum().backward()
        past = expected(*batch(step)).memory
        assert torch.equal(found.memory.embeddings, past.embeddings)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        (lambda z, y, i: (z, y[:5], i), ValueError, "6 embeddings need as many labels, got 5"),
        (lambda z, y, i: (z, y, i[:5]), ValueError, r"as many indices .*\[5\]"),
        (lambda z, y, i: (z, y, i.float()), TypeError, "integers; got torch.float32"),
    ],
)
def test_what_is_refused_is_not_enqueued(change, error, sentence):
    memory = filled(CrossBatchMemory(20), 1)
    with pytest.raises(error, match=sentence):
        memory(*change(*batch(1)))
    memory(*batch(2))
    assert len(memory) == 6
    assert memory.steps == 2


def test_a_copy_holds_its_own_past():
    memory = filled(CrossBatchMemory(20), 2)
    held = memory(*batch(2))
    other = copy.deepcopy(memory)
    other(*batch(3))
    assert len(other) == 18
    assert len(held.memory.embeddings) == len(memory) == 12


@pytest.mark.usefixtures("unchecked")
def test_embeddings_and_labels_of_another_shape_are_refused():
    memory = filled(CrossBatchMemory(20), 2)
    embeddings, labels, index = batch(2)
    with pytest.raises(ValueError, match=r"holds embeddings of shape \[4\] each; got \[3\]"):
        memory(embeddings[:, :3], labels, index)
    with pytest.raises(ValueError, match=r"holds labels of shape \[\] each; got \[1\]"):
        memory(embeddings, labels.unsqueeze(1), index)
    assert memory.steps == 2
