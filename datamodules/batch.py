"""What a data set yields and a model takes."""

from typing import NamedTuple

from jaxtyping import Float, Int, Shaped
from torch import Tensor


class Batch(NamedTuple):
    """Images with their labels and their indices in the data set."""

    images: Float[Tensor, "n c h w"]
    labels: Shaped[Tensor, "n ..."]
    index: Int[Tensor, "n"]  # type: ignore[assignment]
