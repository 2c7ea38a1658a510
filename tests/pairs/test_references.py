"""References: own anchors lead or are absent, on any number of ranks."""

import pytest
import torch
import torch.distributed as dist

from ranklight.pairs import ClassCenters, InBatch, SameClass, compare


def test_the_batch_without_the_self_pairs():
    z, labels = torch.randn(4, 3), torch.tensor([0, 1, 0, 1])
    references = InBatch()(z, labels)
    assert references.embeddings is z
    assert references.labels is labels
    assert references.mask.tolist() == (~torch.eye(4, dtype=torch.bool)).tolist()


def test_class_centers_are_learned_and_hold_no_anchor():
    centers = ClassCenters(num_classes=5, embedding_dim=3)
    references = centers(torch.randn(4, 3), torch.tensor([0, 4, 4, 1]))
    assert references.labels.tolist() == [0, 1, 2, 3, 4]
    assert references.mask.shape == (4, 5)
    assert references.mask.all()
    torch.testing.assert_close(references.embeddings.norm(dim=1), torch.ones(5))
    references.embeddings[:, 0].sum().backward()
    assert centers.centers.grad.abs().sum() > 0


def test_class_centers_off_the_sphere_are_the_parameters():
    centers = ClassCenters(5, 3, normalize=False)
    references = centers(torch.randn(2, 3).half(), torch.tensor([0, 1]))
    assert references.embeddings.dtype == torch.float16
    torch.testing.assert_close(references.embeddings, centers.centers.half())


def test_two_ranks_have_the_references_and_the_gradient_of_one_process(run_on_ranks):
    torch.manual_seed(0)
    z, labels = torch.randn(6, 3, dtype=torch.float64), torch.tensor([0, 1, 0, 1, 0, 1])
    pairs = compare(z.requires_grad_(), labels, InBatch(), SameClass())
    _loss(pairs).backward()
    first, second = run_on_ranks(compare_my_half, 2, z.detach(), labels)
    for rank, (similarity, relevance, mask, ref_labels, _) in enumerate([first, second]):
        own, other = slice(3 * rank, 3 * rank + 3), slice(3 - 3 * rank, 6 - 3 * rank)
        order = [*range(6)[own], *range(6)[other]]
        torch.testing.assert_close(similarity, pairs.similarity.detach()[own][:, order])
        assert relevance.equal(pairs.relevance[own][:, order])
        assert mask.equal(pairs.mask[own][:, order])
        assert ref_labels.equal(labels[order])
        assert not mask.diagonal().any()
    torch.testing.assert_close(torch.cat([first[-1], second[-1]]) / 2, z.grad)


def compare_my_half(z, labels):
    own = slice(3 * dist.get_rank(), 3 * dist.get_rank() + 3)
    z = z[own].clone().requires_grad_()
    pairs = compare(z, labels[own], InBatch(), SameClass())
    _loss(pairs).backward()
    ref_labels = InBatch()(z.detach(), labels[own]).labels
    return pairs.similarity.detach(), pairs.relevance, pairs.mask, ref_labels, z.grad


def _loss(pairs):
    signed = pairs.similarity.exp() * (1 - 3 * pairs.relevance)
    return torch.where(pairs.mask, signed, 0).sum(1).mean()


def test_a_group_of_one_rank_is_no_group(run_on_ranks):
    (mask,) = run_on_ranks(mask_of_two, 1)
    assert mask.tolist() == [[False, True], [True, False]]


def mask_of_two():
    return InBatch()(torch.randn(2, 3), torch.tensor([0, 1])).mask


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int32, torch.int64])
def test_centers_of_a_class_move_whatever_integers_name_it(dtype):
    centers = ClassCenters(120, 4, normalize=False, centers_per_class=3, center_learning_rate=0.5)
    before = centers.centers.clone()
    centers(torch.randn(2, 4), torch.tensor([100, 119], dtype=dtype))
    moved = (centers.centers != before).any(1).nonzero().squeeze(1) // 3
    assert moved.tolist() == [100, 119]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("embeddings", "labels", "error", "sentence"),
    [
        (torch.zeros(3, 2), torch.tensor([1, 2, 3]), ValueError, r"ClassCenters .*0\.\.2; got 3"),
        (torch.zeros(2, 2), torch.tensor([-1, 0]), ValueError, r"ClassCenters .*0\.\.2; got -1"),
        (torch.zeros(1, 2), torch.tensor([1.0]), TypeError, "integer labels; got torch.float32"),
        (torch.zeros(1, 2), torch.tensor([[1]]), ValueError, r"one label an image .*\[1, 1\]"),
        (torch.zeros(1, 5), torch.tensor([1]), ValueError, "must have 2 dimensions .* got 5"),
    ],
)
@pytest.mark.parametrize("rate", [None, 0.5])
def test_labels_without_a_center_are_refused(embeddings, labels, error, sentence, rate):
    centers = ClassCenters(3, 2, center_learning_rate=rate)
    before = centers.centers.clone()
    with pytest.raises(error, match=sentence):
        centers(embeddings, labels)
    assert torch.equal(centers.centers, before)


@pytest.mark.parametrize("wrong", [(0, 2), (3, 0)])
def test_no_centers_are_refused(wrong):
    with pytest.raises(ValueError, match="must be 1 to"):
        ClassCenters(*wrong)


def test_ranks_of_different_batches_are_told_so(run_on_ranks):
    for sentence in run_on_ranks(references_of_uneven_ranks, 2):
        assert sentence == "every rank must hold as many anchors; the ranks hold [5, 3]"


def references_of_uneven_ranks():
    size = 5 - 2 * dist.get_rank()
    with pytest.raises(ValueError, match="every rank") as raised:
        InBatch()(torch.randn(size, 3), torch.arange(size))
    return str(raised.value)


def drawn(labels, centers=None, steps=1):
    """The classes of a few steps."""
    centers = centers or ClassCenters(500, 4, centers_per_class=2, sampled_classes=20, seed=3)
    return [centers(torch.randn(len(labels), 4), labels).labels for _ in range(steps)]


def test_classes_are_drawn_with_those_of_the_batch():
    labels = torch.tensor([499, 7, 7, 250])
    first, second = drawn(labels, steps=2)
    for classes in (first, second):
        assert len(classes) == 40
        assert (classes[::2] == classes[1::2]).all()  # the two centers of a class are neighbours
        assert (classes[::2].diff() > 0).all()
        assert set(labels.tolist()) <= set(classes.tolist())
    others = set(first.tolist()) - {7, 250, 499}
    assert len(others - set(second.tolist())) > 10


def test_all_others_are_drawn_equally_often():
    centers = ClassCenters(50, 4, sampled_classes=20)
    counts = torch.zeros(50)
    for classes in drawn(torch.tensor([0]), centers, 2000):
        counts[classes] += 1
    assert counts[0] == 2000
    expected = 2000 * 19 / 49
    assert (counts[1:] - expected).abs().max() < 5 * (expected * (1 - 19 / 49)) ** 0.5


def test_a_run_that_goes_on_draws_what_it_would_have_drawn():
    centers = ClassCenters(500, 4, sampled_classes=20)
    labels = torch.tensor([1, 2])
    drawn(labels, centers, 3)
    again = ClassCenters(500, 4, sampled_classes=20)
    again.load_state_dict(centers.state_dict())
    assert torch.equal(drawn(labels, again)[0], drawn(labels, centers)[0])


def test_another_seed_draws_others():
    labels = torch.tensor([1, 2])
    (one,) = drawn(labels, ClassCenters(500, 4, sampled_classes=20, seed=1))
    (two,) = drawn(labels, ClassCenters(500, 4, sampled_classes=20, seed=2))
    assert not torch.equal(one, two)


def test_evaluation_has_all_classes_and_draws_nothing():
    centers = ClassCenters(500, 4, sampled_classes=20).eval()
    assert drawn(torch.tensor([1]), centers)[0].tolist() == list(range(500))
    assert centers.draws == 0


def test_only_drawn_centers_have_a_gradient():
    centers = ClassCenters(500, 4, sampled_classes=20)
    references = centers(torch.randn(2, 4), torch.tensor([3, 4]))
    references.embeddings[:, 0].sum().backward()
    has_gradient = centers.centers.grad.any(1).nonzero().squeeze(1)
    assert has_gradient.tolist() == references.labels.tolist()


def test_ranks_draw_the_same_with_the_classes_of_all(run_on_ranks):
    first, second = run_on_ranks(draw_with_my_class, 2)
    assert first.equal(second)
    assert {10, 11} <= set(first.tolist())


def draw_with_my_class():
    centers = ClassCenters(500, 4, sampled_classes=20)
    return centers(torch.randn(1, 4), torch.tensor([10 + dist.get_rank()])).labels


def test_more_images_than_classes_are_refused():
    with pytest.raises(ValueError, match="at least the images of a global batch, 3; got 2"):
        ClassCenters(9, 4, sampled_classes=2)(torch.randn(3, 4), torch.tensor([1, 2, 3]))


def test_moved_centers_are_not_drawn():
    with pytest.raises(ValueError, match="learned by the loss"):
        ClassCenters(9, 4, sampled_classes=2, center_learning_rate=0.5)
