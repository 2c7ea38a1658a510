"""Scores of all images of a split together, each counted once."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Int, Shaped
from torch import Tensor
from torchmetrics import Metric

from ranklight.kernels.checks import check_integers, check_values_are_there


class EachImageOnce(Metric):
    """Keeps rows of images until all of a split are scored, whichever processes have seen them.

    An image that a sampler repeated counts once, by its first row. Rows are put in the order of
    their index, so the scores do not depend on the number of processes, to the last bit. Processes
    may hold any number of rows, also none.

        >>> scores = EachImageOnce(lambda right: {"accuracy": right.mean()}, right=torch.zeros(0))
        >>> scores.update(torch.tensor([7, 8, 7]), right=torch.tensor([1.0, 0.0, 1.0]))
        >>> scores.compute()
        {'accuracy': tensor(0.5000)}

    Args:
        score: From the columns of all images, by their names, to scores.
        columns: No rows of each column, in the type and the shape that rows have.
    """

    full_state_update = False
    index: list[Tensor]

    def __init__(self, score: Callable[..., dict[str, Tensor]], **columns: Tensor) -> None:
        super().__init__()
        self.score = score
        self.columns = columns
        for name in (*columns, "index"):
            self.add_state(name, default=[], dist_reduce_fx="cat")
        self.reset()

    def reset(self) -> None:
        """Forget all images. Empty rows stay, for torchmetrics cannot gather from empty lists."""
        super().reset()
        for name, none in self.columns.items():
            getattr(self, name).append(none.to(self.device))
        self.index.append(torch.zeros(0, dtype=torch.int64, device=self.device))

    def update(self, index: Int[Tensor, "n"], **columns: Shaped[Tensor, "n ..."]) -> None:
        """Keep a batch.

        Raises:
            TypeError: Something is no tensor, or indices are no integers.
            ValueError: There is not one row an index, or rows have another shape than said.
        """
        check_integers(index=index)
        check_values_are_there(index=index, **columns)
        for name, none in self.columns.items():
            needed = [len(index), *none.shape[1:]]
            if list(columns[name].shape) != needed:
                raise ValueError(f"{name} must be {needed}; got {list(columns[name].shape)}")
        for name, none in self.columns.items():
            getattr(self, name).append(columns[name].detach().to(none.dtype))
        self.index.append(index.long())

    def compute(self) -> dict[str, Tensor]:
        """The scores of all images of all processes."""
        index = _joined(self.index)
        order = index.argsort(stable=True)
        first = torch.ones_like(order, dtype=torch.bool)
        first[1:] = index[order[1:]] != index[order[:-1]]
        rows = {name: _joined(getattr(self, name))[order[first]] for name in self.columns}
        return self.score(**rows)


def _joined(parts: Any) -> Tensor:
    return parts if isinstance(parts, Tensor) else torch.cat(parts)
