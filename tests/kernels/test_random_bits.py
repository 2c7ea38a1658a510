"""Random bits on tensors against those of the samplers, which are NumPy's."""

import numpy as np
import torch

from ranklight.datamodules import randomness
from ranklight.kernels.random_bits import random_bits


def test_are_those_of_the_samplers_without_their_first_bit():
    for seed in (0, 7, -3, 2**62):
        for step in (0, 1, 12345):
            ours = random_bits(seed, torch.tensor(step), torch.arange(1000))
            theirs = randomness.random_bits(seed, step, np.arange(1000)) & np.uint64(2**63 - 1)
            assert ours.tolist() == theirs.tolist()
