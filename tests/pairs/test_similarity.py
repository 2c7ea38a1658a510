"""Similarity against float64, its gradient, and its type."""

import pytest
import torch

from ranklight.kernels import chunks
from ranklight.pairs import pairwise_similarity
from ranklight.pairs import similarity as products


def in_float64(embeddings, references):
    differences = embeddings.double().unsqueeze(1) - references.double().unsqueeze(0)
    return 1 - differences.square().sum(2) / 2


def test_is_the_cosine_of_unit_vectors():
    torch.manual_seed(0)
    z, r = (torch.nn.functional.normalize(torch.randn(n, 16)) for n in (5, 7))
    torch.testing.assert_close(pairwise_similarity(z, r), z @ r.T)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_is_1_minus_half_the_squared_distance(dtype):
    torch.manual_seed(0)
    z, r = torch.randn(6, 9, dtype=dtype), torch.randn(4, 9, dtype=dtype)
    similarity = pairwise_similarity(z, r)
    assert similarity.dtype == dtype
    torch.testing.assert_close(similarity, in_float64(z, r).to(dtype))


def test_near_duplicates_with_large_norms_keep_their_distance():
    torch.manual_seed(0)
    z = torch.randn(8, 64)
    z = 1e3 * z / z.norm(dim=1, keepdim=True)
    r = z + 1e-2 * torch.randn(8, 64) / 8
    distance = 2 - 2 * pairwise_similarity(z, r).diagonal().double()
    exact = 2 - 2 * in_float64(z, r).diagonal()
    assert (exact < 1e-3).all()
    assert (distance / exact - 1).abs().max() < 1e-3
    by_norms = z.square().sum(1) + r.square().sum(1) - 2 * (z * r).sum(1)
    assert (by_norms / exact - 1).abs().max() > 1


def test_exact_duplicates_are_at_distance_0():
    z = 1e3 * torch.randn(4, 32)
    assert (2 - 2 * pairwise_similarity(z, z).diagonal()).abs().max() == 0


def test_gradient():
    torch.manual_seed(0)
    z = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    r = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(pairwise_similarity, (z, r))
    assert torch.autograd.gradcheck(lambda both: pairwise_similarity(both, both), (z,))


def test_gradient_among_themselves_is_that_of_both_sides(monkeypatch):
    monkeypatch.setitem(chunks._BLOCK_ELEMENTS, "cpu", 16)
    torch.manual_seed(0)
    z = torch.randn(11, 3, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(11, 11, dtype=torch.float64)
    for references in (z, z * 1):
        (pairwise_similarity(z, references) * weights).sum().backward()
        expected = ((z.unsqueeze(0) - z.unsqueeze(1)) * (weights + weights.T).unsqueeze(2)).sum(1)
        torch.testing.assert_close(z.grad, expected.detach())
        z.grad = None


def test_gradient_of_near_duplicates_far_from_the_origin_is_their_difference():
    torch.manual_seed(0)
    z = 1e3 + torch.randn(3, 8)
    r = (z + 1e-2 * torch.randn(3, 8)).requires_grad_()
    z.requires_grad_()
    pairwise_similarity(z, r).diagonal().sum().backward()
    torch.testing.assert_close(z.grad, (r - z).detach(), rtol=0.02, atol=1e-4)
    torch.testing.assert_close(r.grad, -z.grad, rtol=0.02, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_float32(dtype):
    z = torch.randn(4, 16).to(dtype).requires_grad_()
    similarity = pairwise_similarity(z, z)
    similarity.sum().backward()
    assert similarity.dtype == torch.float32
    assert z.grad.dtype == dtype
    torch.testing.assert_close(similarity, in_float64(z, z).float())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("length", [1.0, 6.0])
def test_autocast_changes_nothing(dtype, length):
    torch.manual_seed(0)
    expected = (length * torch.nn.functional.normalize(torch.randn(6, 32))).requires_grad_()
    weights = torch.randn(6, 6)
    plain = pairwise_similarity(expected, expected)
    (plain * weights).sum().backward()
    found = expected.detach().clone().requires_grad_()
    with torch.autocast("cpu", dtype):
        similarity = pairwise_similarity(found, found)
        (similarity * weights).sum().backward()
    assert similarity.dtype == torch.float32
    torch.testing.assert_close(similarity, plain)
    torch.testing.assert_close(found.grad, expected.grad)


def test_more_references_than_fit_a_block():
    torch.manual_seed(0)
    z, r = torch.randn(300, 4), torch.randn(8000, 4)
    similarity = pairwise_similarity(z, r)
    for columns in (slice(0, 3), slice(3490, 3500), slice(-3, None)):
        torch.testing.assert_close(similarity[:, columns], in_float64(z, r[columns]).float())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [0, 1, 3, 9, 64])
def test_among_themselves_is_that_of_two_sides(n, dtype, monkeypatch):
    monkeypatch.setitem(products._BLOCK_ELEMENTS, "cpu", 200)
    torch.manual_seed(0)
    z = 30 * torch.randn(n, 5, dtype=dtype)
    similarity = pairwise_similarity(z, z)
    torch.testing.assert_close(similarity, pairwise_similarity(z, z.clone()), rtol=1e-6, atol=0)
    torch.testing.assert_close(similarity, similarity.T)


@pytest.mark.usefixtures("unchecked")
def test_refuses_two_sizes():
    with pytest.raises(ValueError, match="3 dimensions, references 4"):
        pairwise_similarity(torch.ones(2, 3), torch.ones(2, 4))
