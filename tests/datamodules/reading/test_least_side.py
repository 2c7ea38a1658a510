import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.transforms import InterpolationMode, v2

from ranklight.datamodules.reading.least_side import least_side_for
from ranklight.datamodules.reading.pictures import read_picture


@pytest.mark.parametrize(
    ("transforms", "least"),
    [
        ([v2.RandomResizedCrop(224)], 915),
        ([v2.RandomResizedCrop(224, (0.25, 1.0), (1.0, 1.0))], 448),
        ([v2.RandomResizedCrop((100, 200), (0.25, 1.0), (1.0, 1.0))], 400),
        ([v2.RandomResizedCrop(100, (1.0, 1.0), (0.25, 1.0))], 200),
        ([v2.RandomResizedCrop(100, (1.0, 1.0), (1.0, 4.0))], 200),
        ([v2.Resize(256), v2.CenterCrop(224)], 512),
        ([v2.Resize((100, 200))], 400),
        ([v2.RandomHorizontalFlip(), v2.ColorJitter(0.4), v2.Resize(100)], 200),
        ([v2.Compose([v2.RandomGrayscale(), v2.Compose([v2.Resize(100)])])], 200),
        ([], None),
        ([v2.RandomHorizontalFlip()], None),
        ([v2.CenterCrop(500), v2.Resize(100)], None),
        ([v2.RandomCrop(64)], None),
        ([v2.GaussianBlur(5), v2.Resize(100)], None),
        ([v2.RandomRotation(10), v2.Resize(100)], None),
        ([nn.Identity(), v2.Resize(100)], None),
        ([v2.Resize(None, max_size=100)], None),
        ([v2.Resize(100, antialias=False)], None),
        ([v2.RandomResizedCrop(100, interpolation=InterpolationMode.NEAREST)], None),
    ],
)
def test_the_least_side(transforms, least):
    assert least_side_for(transforms) == least


class Own(v2.Resize):
    pass


def test_a_class_of_ones_own_may_do_anything():
    assert least_side_for([Own(100)]) is None


@pytest.mark.parametrize("size", [(3000, 2000), (1031, 1920)])
@pytest.mark.parametrize("ratio", [(0.75, 4 / 3), (0.5, 1.0), (1.0, 2.0)])
def test_no_crop_is_enlarged(size, ratio):
    """Of a picture with just the least side, the smallest and narrowest crop."""
    width, height = size
    crop = v2.RandomResizedCrop((80, 100), (0.1, 0.1), ratio)
    smaller = least_side_for([crop]) / min(size)
    picture = torch.zeros(3, round(height * smaller), round(width * smaller), dtype=torch.uint8)
    torch.manual_seed(0)
    for _ in range(200):
        drawn = crop.make_params([picture])
        assert drawn["height"] >= 79
        assert drawn["width"] >= 99


def photograph(width, height):
    """Detail of all sizes, down to the pixel."""
    draw = np.random.default_rng(0)
    total = np.full((height, width, 3), 128.0)
    for cells in (4, 16, 64, 256):
        grid = draw.integers(0, 256, (cells * height // width, cells, 3)).astype(np.uint8)
        field = Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)
        total += (np.asarray(field) - 128.0) / 3
    return Image.fromarray((total + draw.normal(0, 6, total.shape)).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("width", [512, 1024, 2048])
def test_a_resized_picture_does_not_show_its_reduction(tmp_path, width, interpolation):
    file = tmp_path / "photo.jpg"
    photograph(width, width * 3 // 4).save(file, quality=90)
    resize = v2.Resize(64, InterpolationMode(interpolation))
    reduced = read_picture(file, least_side=least_side_for([resize]))
    whole = read_picture(file)
    assert reduced.shape[1] < whole.shape[1]
    difference = resize(reduced).float() - resize(whole).float()
    assert resize(reduced).shape == resize(whole).shape
    assert difference.abs().mean() < 2
