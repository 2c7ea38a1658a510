"""References: own anchors lead or are absent, on any number of ranks."""

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
