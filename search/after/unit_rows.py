"""Rows of length 1."""

import torch
from jaxtyping import Float
from torch import Tensor

from ranklight.search.embedded import Embedded
from ranklight.search.order import folded_sum

_SLACK = 0.01


def unit_rows(rows: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Each row over its length, the same bits however many rows there are; zeros stay zeros."""
    length = folded_sum(rows.square()).sqrt()[:, None]
    return rows / torch.where(length > 0, length, 1)


def check_unit(rows: Embedded, what: str) -> None:
    """Raise a ValueError, on every rank, if rows are neither of length 1 nor zeros; collective."""
    length = torch.linalg.vector_norm(rows.embeddings.double(), dim=1)
    off = length.sub(1).abs().masked_fill(length == 0, 0)
    if rows.shards.max(int((off > _SLACK).any())):
        raise ValueError(
            f"{what} weighs neighbours by the cosine and needs embeddings of length 1: give the "
            "encoder normalize=true, or whiten first"
        )
