"""The baselines' thumbnails."""

import torch

from ranklight.callbacks.evaluation.baselines import _thumbnail_pixels
from ranklight.models import Pixels


def test_raw_pixels_of_large_images_are_those_of_thumbnails():
    small, large = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 224, 64)
    assert torch.equal(_thumbnail_pixels(small), Pixels()(small))
    assert _thumbnail_pixels(large).shape == (2, 3 * 32 * 32)
    even = _thumbnail_pixels(torch.full((1, 1, 64, 64), 0.5))
    torch.testing.assert_close(even, torch.full((1, 1024), 1 / 32))
