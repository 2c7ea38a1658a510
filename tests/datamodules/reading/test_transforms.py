"""How pictures become a batch: what defaults show, and what a list must give."""

import random

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from ranklight.datamodules.randomness import seeded
from ranklight.datamodules.reading.transforms import (
    center,
    chain,
    check_transforms,
    mirrored_whole,
    random_part,
    whole,
)


def corners_marked(height, width):
    """A grey picture whose corners are white."""
    picture = torch.full((3, height, width), 128, dtype=torch.uint8)
    for row in (slice(0, 40), slice(-40, None)):
        picture[:, row, :40] = picture[:, row, -40:] = 255
    return picture


@pytest.mark.parametrize("defaults", [whole((32, 32)), mirrored_whole((32, 32))])
def test_the_whole_picture_is_seen_where_labels_name_objects_in_it(defaults):
    for shape in ((300, 200), (200, 300)):
        seen = chain(defaults)(corners_marked(*shape))
        assert seen.shape == (3, 32, 32)
        for row in (0, -1):
            assert seen[0, row, 0] == seen[0, row, -1] == 255


def test_the_center_of_the_resized_picture_is_seen_in_evaluation():
    picture = torch.arange(400).div(2, rounding_mode="floor").to(torch.uint8)
    picture = picture.expand(3, 200, 400).contiguous()
    seen = chain(center((100, 100), 200))(picture)
    torch.testing.assert_close(seen, picture[:, 50:150, 150:250])


def test_a_part_is_at_least_16_percent_of_the_picture():
    picture = torch.arange(250, dtype=torch.uint8).expand(3, 250, 250).contiguous()
    widths = []
    for seed in range(200):
        with seeded(seed):
            row = chain(random_part((50, 50)))(picture)[0, 25].int()
        widths.append(abs(int(row[-1]) - int(row[0])) / 250)
    assert min(widths) > 0.3
    assert max(widths) > 0.95


@pytest.mark.parametrize(
    ("transforms", "words"),
    [
        ([v2.Resize(32)], r"\[3, 32, 32\].*they gave \[3, 32, 42\]"),
        ([v2.Resize((31, 32))], r"they gave \[3, 31, 32\]"),
        ([], r"they gave \[3, 300, 400\]"),
        ([v2.Resize((32, 32)), v2.Grayscale()], r"they gave \[1, 32, 32\]"),
        ([lambda picture: picture.numpy()], "they gave ndarray"),
        ([v2.Resize((32, 32)), v2.ToDtype(torch.int16)], "bytes or floats of 0..1; they gave"),
        (
            [
                v2.Resize((32, 32)),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            ],
            "the encoder normalises: leave that out",
        ),
    ],
)
def test_transforms_that_give_no_picture_of_the_size_are_refused(transforms, words):
    with pytest.raises(ValueError, match=f"eval_transforms must give pictures.*{words}"):
        check_transforms("eval_transforms", transforms, (32, 32))


def test_floats_of_zero_to_one_are_pictures():
    check_transforms(
        "eval_transforms",
        [v2.Resize((32, 32)), v2.ToDtype(torch.float32, scale=True)],
        (32, 32),
    )


def test_every_global_generator_follows_the_seed_and_goes_on_as_before():
    def draw():
        return torch.rand(1).item(), random.random(), np.random.rand()  # noqa: NPY002

    def start():
        torch.manual_seed(5), random.seed(5), np.random.seed(5)  # noqa: NPY002

    start()
    undisturbed = draw(), draw()
    start()
    first = draw()
    with seeded(2**40 + 1):
        inside = draw()
    assert (first, draw()) == undisturbed
    with seeded(2**40 + 1):
        assert draw() == inside
    with seeded(2**40 + 2):
        assert not set(draw()) & set(inside)
