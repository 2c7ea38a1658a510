"""Wider angles against arc cosines."""

import math

import pytest
import torch

from ranklight.kernels.margins import with_wider_angles

EVERYWHERE = torch.ones(1, 1000, dtype=torch.bool)


@pytest.mark.parametrize("margin", [0.0, 0.5, 1.5])
def test_is_the_cosine_of_the_wider_angle(margin):
    angle = torch.linspace(0.001, math.pi - margin - 1e-9, 1000, dtype=torch.float64)[None]
    cosine = angle.cos().requires_grad_()
    wider = with_wider_angles(cosine, EVERYWHERE, margin)
    torch.testing.assert_close(wider, (angle + margin).cos())
    wider.sum().backward()
    torch.testing.assert_close(cosine.grad, (angle + margin).sin() / angle.sin())


def test_falls_on_where_the_wider_angle_is_beyond_pi():
    cosine = -torch.linspace(math.cos(0.5), 1, 1000, dtype=torch.float64)[None]
    wider = with_wider_angles(cosine, EVERYWHERE, 0.5)
    torch.testing.assert_close(wider, cosine - 0.5 * math.sin(0.5))


def test_elsewhere_nothing_is_touched():
    cosine = torch.tensor([[0.3, torch.inf, torch.nan, 0.5]], requires_grad=True)
    widened = torch.tensor([[False, False, False, True]])
    wider = with_wider_angles(cosine, widened, 0.5)
    assert wider[0, :2].tolist() == cosine[0, :2].tolist()
    wider[0, [0, 3]].sum().backward()
    assert cosine.grad.isfinite().all()
