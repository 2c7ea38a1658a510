"""Pictures in, what a network was trained with out."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

Pictures = UInt8[Tensor, "n c h w"] | Float[Tensor, "n c h w"]
"""What data modules yield: bytes, or numbers of 0..1."""


class Inputs(nn.Module):
    """x = (picture − mean) / std in each channel, of a picture in 0..1.

    Bytes are divided by 255 first, on the device of the network: a batch is a quarter of the size
    on its way there. The result has the type of the network's weights.

    Args:
        mean: Of each channel, or one number for all.
        std: Likewise.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float] = (0.0,), std: Sequence[float] = (1.0,)) -> None:
        super().__init__()
        # Not in the checkpoint: they belong to the trunk's name, not to what was learnt.
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, pictures: Pictures) -> Float[Tensor, "n c h w"]:
        """The network's inputs.

        Raises:
            ValueError: Pictures have another number of channels than the network was trained with.
        """
        if len(self.mean) not in (1, pictures.shape[1]):
            raise ValueError(
                f"the network takes pictures of {len(self.mean)} channels; got {pictures.shape[1]}"
            )
        shares = in_unit_range(pictures)
        return ((shares - self.mean.to(shares)) / self.std.to(shares)).to(self.mean.dtype)

    def extra_repr(self) -> str:
        """Mean and deviation."""
        return f"mean={self.mean.flatten().tolist()}, std={self.std.flatten().tolist()}"


def inputs_of(trunk: nn.Module) -> Inputs:
    """The inputs of a trunk: by its `mean` and `std`, or 0..1 as they are where it has none."""
    return Inputs(getattr(trunk, "mean", (0.0,)), getattr(trunk, "std", (1.0,)))


def in_unit_range(pictures: Pictures) -> Float[Tensor, "n c h w"]:
    """Bytes as float32 of 0..1; floats as they are, half precision widened."""
    if pictures.dtype == torch.uint8:
        return pictures.float() / 255
    return pictures.to(torch.promote_types(pictures.dtype, torch.float32))
