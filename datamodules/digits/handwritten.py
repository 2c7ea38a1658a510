"""The handwritten digits that come with scikit-learn, and their split."""

from functools import cache

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from ranklight.datamodules.splits import hold_out


@cache
def handwritten_digits() -> tuple[Float[Tensor, "digits 8 8"], Int[Tensor, " digits"]]:
    """All 1,797, grey levels in 0..1, and their classes (UCI, 1998; scikit-learn brings them)."""
    # Here, because every import of this package would wait a second for it.
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return torch.tensor(bunch.images / 16, dtype=torch.float32), torch.tensor(bunch.target)


def split_digits(seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The indices of train, val and test: of each class 60 %, 15 % and 25 %."""
    _, classes = handwritten_digits()
    rest, test = hold_out(classes, 0.25, "image_disjoint", seed)
    train, val = hold_out(classes[rest], 0.2, "image_disjoint", seed + 1)
    return rest[train], rest[val], test
