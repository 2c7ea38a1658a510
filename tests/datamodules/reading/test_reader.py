import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from ranklight.datamodules.reading import pictures
from ranklight.datamodules.reading.image_files import ImageFiles
from ranklight.datamodules.reading.pictures import read_picture
from ranklight.datamodules.reading.reader import reader_for
from ranklight.datamodules.reading.transforms import center, chain

STEPS = [v2.RandomResizedCrop((24, 32)), v2.RandomHorizontalFlip(), v2.ColorJitter(0.5)]
BACKGROUND = (9, 99, 199)


@pytest.fixture
def reductions(monkeypatch):
    """By how much JPEGs were reduced."""
    asked = []

    def decode(content, size, reduction):
        asked.append(reduction)
        return real(content, size, reduction)

    real = pictures.jpeg_pixels
    monkeypatch.setattr(pictures, "jpeg_pixels", decode)
    return asked


def picture(folder, name, width, height, orientation=1):
    draw = np.random.default_rng(0)
    coarse = draw.integers(0, 256, (6, 8, 3)).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    smooth.save(folder / name, exif=exif)
    return folder / name


@pytest.mark.parametrize("box", [None, (5, 3, 36, 40)])
@pytest.mark.parametrize(("name", "orientation"), [("a.png", 1), ("a.jpg", 6), ("a.tif", 8)])
def test_a_crop_drawn_before_reading_is_the_crop(tmp_path, name, orientation, box):
    file = picture(tmp_path, name, 40, 44, orientation)
    read, rest = reader_for(chain(STEPS))
    for seed in range(20):
        torch.manual_seed(seed)
        wanted, after = chain(STEPS)(read_picture(file, BACKGROUND, box)), torch.rand(1)
        torch.manual_seed(seed)
        got = rest(read(file, background=BACKGROUND, box=box))
        assert torch.equal(got, wanted)
        assert torch.equal(torch.rand(1), after)


@pytest.mark.parametrize("orientation", [1, 5])
def test_a_crop_of_a_large_jpeg_is_nearly_the_crop(tmp_path, reductions, orientation):
    file = picture(tmp_path, "a.jpg", 1280, 960, orientation)
    transform = chain([v2.RandomResizedCrop((96, 128)), v2.RandomHorizontalFlip()])
    read, rest = reader_for(transform)
    for seed in range(10):
        torch.manual_seed(seed)
        wanted = transform(read_picture(file)).float()
        torch.manual_seed(seed)
        got = rest(read(file, background=BACKGROUND, box=None))
        assert got.shape == (3, 96, 128)
        assert (got - wanted).abs().mean() < 2
    assert {2, 4} <= set(reductions[1::2])


def test_no_crop_is_enlarged_for_a_reduction(tmp_path, reductions):
    """Crops of 100 x 100 pixels, made into squares."""
    file = picture(tmp_path, "a.jpg", 200, 200)
    for side in (24, 26, 49, 51, 99, 101):
        read, _ = reader_for(v2.RandomResizedCrop(side, (0.25, 0.25), (1.0, 1.0)))
        read(file, background=BACKGROUND, box=None)
    assert reductions == [4, 2, 2, 1, 1, 1]


@pytest.mark.parametrize("box", [(0, 0, 41, 10), (30, 30, 20, 40)])
def test_a_box_outside_of_the_picture_is_refused_whatever_is_drawn(tmp_path, box):
    file = picture(tmp_path, "a.jpg", 40, 44)
    read, _ = reader_for(chain(STEPS))
    with pytest.raises(ValueError, match=r"the box .* within the image .*a.jpg, which is 40 x 44"):
        read(file, background=BACKGROUND, box=box)


def test_evaluation_reads_twice_what_it_resizes_to(tmp_path, reductions):
    file = picture(tmp_path, "a.jpg", 640, 480)
    read, rest = reader_for(chain(center((50, 50), 60)))
    seen = rest(read(file, background=BACKGROUND, box=None)).float()
    assert (seen - chain(center((50, 50), 60))(read_picture(file))).abs().mean() < 2
    assert reductions == [4, 1]


def test_a_split_sees_the_crop_and_shows_the_picture(tmp_path):
    file = picture(tmp_path, "a.png", 40, 44)
    split = ImageFiles([file], torch.zeros(1), np.array([0]), chain(STEPS))
    assert split.__getitems__([(0, 0)]).images.shape == (1, 3, 24, 32)
    assert torch.equal(split.picture(0), read_picture(file))
