"""A selection of pairs, by what the labels say of them."""

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor


def split(
    relevance: Float[Tensor, "n m"], selection: Shaped[Tensor, "n m"]
) -> tuple[Bool[Tensor, "n m"], Bool[Tensor, "n m"]]:
    """The selected pairs, as (positive, negative): relevance above 0, and not.

    A relevance of NaN is not above 0.

    Raises:
        TypeError: The selection is not of pairs (Bool) but of opponents (Int).

    Example:
        >>> positive, negative = split(torch.tensor([[1.0, 0.0]]), torch.tensor([[True, True]]))
        >>> positive.tolist(), negative.tolist()
        ([[True, False]], [[False, True]])
    """
    if selection.dtype != torch.bool:
        raise TypeError(
            "this loss takes pairs, a Bool selection from a pair miner (KeepAll, "
            f"MultiSimilarityMiner, ...); got {selection.dtype}, the opponents of a triplet miner"
        )
    related = relevance > 0
    return selection & related, selection & ~related
