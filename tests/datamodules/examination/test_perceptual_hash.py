import io

import numpy as np
import pytest
import torch
from PIL import Image

from ranklight.datamodules.examination import perceptual_hash
from tests.datamodules.examination.drawn import drawn


def hash_of(image):
    return perceptual_hash(torch.from_numpy(np.array(image)).permute(2, 0, 1))


def apart(one, other):
    return (hash_of(one) ^ hash_of(other)).bit_count()


def recompressed(image, quality=30):
    image.save(file := io.BytesIO(), "jpeg", quality=quality)
    return Image.open(file)


@pytest.mark.parametrize(
    "copy",
    [
        recompressed,
        lambda image: image.resize((150, 90)),
        lambda image: image.resize((700, 500)),
        lambda image: image.point(lambda value: value // 2 + 60),
        lambda image: recompressed(image.resize((96, 96)), 60),
    ],
)
def test_copies_are_within_four_bits(copy):
    assert max(apart(image, copy(image)) for image in map(drawn, range(8))) <= 4


def test_other_pictures_are_about_32_bits_apart():
    images = [drawn(seed) for seed in range(12)]
    distances = [apart(images[a], images[b]) for a in range(12) for b in range(a)]
    assert min(distances) > 12
    assert 28 < np.mean(distances) < 36


def test_half_of_the_bits_are_set_on_a_white_ground():
    image = Image.new("RGB", (200, 200), "white")
    image.paste(drawn(3).resize((60, 60)), (70, 80))
    assert hash_of(image).bit_count() == 32


def test_a_mirrored_picture_is_another():
    assert apart(drawn(0), drawn(0).transpose(Image.Transpose.FLIP_LEFT_RIGHT)) > 12


@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_and_number_of_channels(channels):
    picture = torch.zeros(channels, 1, 3, dtype=torch.uint8)
    picture[..., 1] = 255
    assert perceptual_hash(picture).bit_count() <= 32
