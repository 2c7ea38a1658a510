"""Other views of a picture, whose embeddings are averaged with its own."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from ranklight.models import Pictures, unit_vectors

_SLACK = 0.01


class Mirrored:
    """A picture from left to right.

    Args:
        name: What its scores are logged under.
    """

    def __init__(self, name: str = "mirrored") -> None:
        self.name = name

    def __call__(self, images: Pictures) -> Sequence[Pictures]:
        """One view."""
        return [images.flip(-1)]


class Crops:
    """The four corners and the center of a picture, each at the size of the whole; mirrored too.

    The whole picture is averaged with them, where Krizhevsky, Sutskever & Hinton, ImageNet
    classification with deep convolutional neural networks, NIPS 2012, have the ten crops alone.

    Args:
        fraction: Of the picture's sides that a crop has, above 0 and up to 1; theirs is 0.875.
        mirrored: Whether each of the five is seen mirrored, too.
        name: What its scores are logged under.

    Raises:
        ValueError: The fraction is not in its bounds.
    """

    def __init__(self, fraction: float = 0.875, mirrored: bool = True, name: str = "crops") -> None:
        if not 0 < fraction <= 1:
            raise ValueError(f"crops have a fraction above 0 and up to 1 of a side; got {fraction}")
        self.fraction = fraction
        self.mirrored = mirrored
        self.name = name

    def __call__(self, images: Pictures) -> Sequence[Pictures]:
        """Five views, or ten."""
        whole = list(images.shape[-2:])
        size = [max(1, round(self.fraction * side)) for side in whole]
        crops = transforms.five_crop(images, size)
        views = [transforms.resize(crop, whole, antialias=True) for crop in crops]
        return [*views, *(view.flip(-1) for view in views)] if self.mirrored else views


View = Mirrored | Crops


def averaged(
    embeddings: Float[Tensor, "n d"],
    images: Pictures,
    view: View,
    embed: Callable[[Pictures], Tensor],
) -> Float[Tensor, "n d"]:
    """Mean embedding of pictures and of their views; of length 1 where the pictures' own are.

    Args:
        embeddings: Of the pictures as they are.
        images: The pictures.
        view: Makes others of them; each is embedded on its own, so none adds to the memory.
        embed: The encoder.
    """
    total, views = embeddings.double(), view(images)
    for seen in views:
        total = total + embed(seen).double()
    mean = (total / (1 + len(views))).to(torch.promote_types(embeddings.dtype, torch.float32))
    lengths = torch.linalg.vector_norm(embeddings.double(), dim=1)
    unit = bool(((lengths - 1).abs() < _SLACK).all())
    return unit_vectors(mean) if unit else mean
