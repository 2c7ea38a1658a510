"""The pictures of a data set, for sheets of them."""

from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor


def check_has_pictures(dataset: Any) -> None:
    """Refuse a data set of which no image can be asked for.

    Raises:
        ValueError: It has no `indices` or no `__getitems__`.
    """
    if not (hasattr(dataset, "indices") and hasattr(dataset, "__getitems__")):
        raise ValueError(
            "a gallery needs a data set with `indices`, the index of each of its images, and "
            f"`__getitems__`, their batch; {type(dataset).__name__} lacks one of them"
        )


def picture_of(dataset: Any, index: Int[Tensor, ""]) -> Tensor:
    """The image of a data set that has this index, as evaluation sees it."""
    row = int((torch.as_tensor(dataset.indices) == index).nonzero()[0])
    image: Tensor = dataset.__getitems__([row]).images[0]
    return image
