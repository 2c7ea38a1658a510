"""What a data set yields and a model takes."""

from typing import NamedTuple

from jaxtyping import Float, Int, Shaped, UInt8
from torch import Tensor


class Batch(NamedTuple):
    """Images with their labels and their indices in the data set.

    Images are pictures: bytes, or floats of 0..1. What a network was trained with is the encoder's.
    """

    images: UInt8[Tensor, "n c h w"] | Float[Tensor, "n c h w"]
    labels: Shaped[Tensor, "n ..."]
    index: Int[Tensor, "n"]  # type: ignore[assignment]
