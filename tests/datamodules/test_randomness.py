import random

import torch

from ranklight.datamodules.randomness import image_seed, random_bits, seeded


def test_random_bits_are_the_published_generator():
    """SplitMix64 seeded with 0 starts with these numbers (its reference implementation)."""
    assert random_bits(0)[0] == 0xE220A8397B1DCDAF


def test_seeds_of_images_differ():
    seeds = {
        image_seed(s, epoch, index)
        for s in range(3)
        for epoch in (None, *range(9))
        for index in range(99)
    }
    assert len(seeds) == 3 * 10 * 99


def test_seeded_leaves_no_trace():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with seeded(random.getrandbits(60)):
        torch.rand(7)
    assert torch.equal(torch.rand(3), expected)
