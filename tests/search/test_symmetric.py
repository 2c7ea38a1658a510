"""Lists of rows among themselves against sorting every product."""

import pytest
import torch

from ranklight.metrics import evaluate_retrieval
from ranklight.search import Embedded, nearest, symmetric
from ranklight.search.backends import top_k_by_torch
from ranklight.search.symmetric import symmetric_is_faster, top_k_among


def points_of(vectors):
    half_squares = vectors.square().sum(1, keepdim=True) / -2
    return torch.cat([vectors, half_squares, torch.ones_like(half_squares)], 1)


def integers(n, d):
    """Products of these are exact in float32, and many are equal."""
    return torch.randint(-3, 4, (n, d), generator=torch.Generator().manual_seed(n)).float()


@pytest.mark.parametrize("block", [16, 24, 1024])
@pytest.mark.parametrize(("n", "k"), [(1, 1), (5, 5), (16, 3), (17, 3), (61, 11), (200, 16)])
def test_best_first_and_the_smaller_column_of_equals(monkeypatch, n, k, block):
    monkeypatch.setattr(symmetric, "_BLOCK", block)
    vectors = integers(n, 4)
    exact = torch.cdist(vectors.double(), vectors.double()).square() / -2
    expected = exact.round(decimals=1).sort(dim=1, descending=True, stable=True)
    found = list(top_k_among(points_of(vectors), k))
    assert [len(scores) for scores, _ in found] == [
        min(block, n - start) for start in range(0, n, block)
    ]
    scores, columns = (torch.cat(parts) for parts in zip(*found, strict=True))
    assert torch.equal(scores.double(), expected.values[:, :k])
    assert torch.equal(columns, expected.indices[:, :k])


@pytest.mark.parametrize("scale", [1e-18, 1.0, 1e15])
def test_scores_of_any_size_are_sorted(monkeypatch, scale):
    monkeypatch.setattr(symmetric, "_BLOCK", 32)
    points = points_of(scale * torch.randn(100, 6, generator=torch.Generator().manual_seed(0)))
    scores = torch.cat([scores for scores, _ in top_k_among(points, 7)])
    product = symmetric.swap_last_two(points) @ points.T
    torch.testing.assert_close(scores, product.topk(7).values, rtol=1e-5, atol=1e-6 * scale**2)
    assert (scores[:, 1:] <= scores[:, :-1]).all()


def test_many_blocks_give_the_lists_and_scores_of_the_other_way(monkeypatch):
    monkeypatch.setattr(symmetric, "_BLOCK", 64)
    generator = torch.Generator().manual_seed(0)
    for kind in ("random", "almost equal", "twice", "25 times"):
        embeddings = torch.randn(500, 12, generator=generator)
        if kind == "almost equal":
            embeddings = 1 + 1e-7 * embeddings
        if kind == "twice":
            embeddings[250:] = embeddings[:250]
        if kind == "25 times":
            embeddings = embeddings[:20].repeat(25, 1)
        expected = nearest(embeddings, 9, backend=top_k_by_torch)
        assert torch.equal(nearest(embeddings, 9), expected)
        labels = torch.randint(90, (500,), generator=generator)
        scores = evaluate_retrieval(Embedded(embeddings, labels), ks=(1, 4))
        with monkeypatch.context() as patch:
            patch.setattr(symmetric, "MAX_K", 0)
            assert evaluate_retrieval(Embedded(embeddings, labels), ks=(1, 4)) == scores


def test_short_lists_on_few_threads_only(monkeypatch):
    gallery = torch.zeros(2048, 2)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert symmetric_is_faster(gallery, 16)
    assert not symmetric_is_faster(gallery, 17)
    assert not symmetric_is_faster(gallery[1:], 4)
    assert not symmetric_is_faster(torch.zeros(1, 1).expand(2**18 + 1, 1), 4)
    assert not symmetric_is_faster(gallery.to("meta"), 4)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert not symmetric_is_faster(gallery, 4)


TIES = points_of(torch.eye(512))
RISING = torch.stack([torch.zeros(512), torch.arange(512.0), torch.ones(512)], 1)


@pytest.mark.parametrize("points", [TIES, RISING], ids=["ties", "rising"])
def test_candidates_do_not_pile_up(monkeypatch, points):
    monkeypatch.setattr(symmetric, "_BLOCK", 32)
    monkeypatch.setattr(symmetric, "_MAX_CANDIDATES", 8)
    held = []

    class Watched(symmetric._Lists):
        def _add(self, *group):
            super()._add(*group)
            held.append(sum(map(len, self.candidates)))

    monkeypatch.setattr(symmetric, "_Lists", Watched)
    scores, columns = (torch.cat(parts) for parts in zip(*top_k_among(points, 3), strict=True))
    product = symmetric.swap_last_two(points) @ points.T
    assert torch.equal(scores, product.topk(3).values)
    assert torch.equal(product.gather(1, columns), scores)
    assert max(held) <= 32 * 8
