"""Unit vectors against torch's normalize, value and gradient."""

import torch
import torch.nn.functional as F

from ranklight.kernels import chunks
from ranklight.kernels.unit_vectors import unit_vectors


def test_is_normalize(monkeypatch):
    monkeypatch.setitem(chunks._BLOCK_ELEMENTS, "cpu", 12)  # three rows
    torch.manual_seed(0)
    vectors = torch.randn(20, 4, dtype=torch.float64)
    vectors[3] = 0
    vectors.requires_grad_()
    weight = torch.randn(20, 4, dtype=torch.float64)
    ours, theirs = unit_vectors(vectors), F.normalize(vectors)
    torch.testing.assert_close(ours, theirs)
    (found,) = torch.autograd.grad((ours * weight).sum(), vectors)
    (expected,) = torch.autograd.grad((theirs * weight).sum(), vectors)
    torch.testing.assert_close(found, expected)
