"""Batch samplers: where one stands in its epoch, and the share of each batch that a rank takes."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from jaxtyping import Int
from torch.utils.data import Sampler

from ranklight.datamodules.samplers.arguments import check_rank
from ranklight.kernels.checks import check_counts

GlobalBatches = Int[np.ndarray, "batches batch"]
_INDICES_AT_ONCE = 2**17


class Progress:
    """The epoch and position of a batch sampler, the same on every rank.

    A batch sampler draws global batches; rank r of w takes `batch[r::w]` of each. Where it stands
    is therefore two numbers that know nothing of ranks or workers, and a checkpoint of rank 0
    serves all ranks, also on another number of them.

    Args:
        length: Batches in an epoch.
        batch_size: Images in a global batch.
        rank: Which share to take.
        world_size: How many share a batch.
        identity: What the batches depend on besides epoch and position, as plain values.

    Attributes:
        epoch: The epoch of the next batch.
        position: How many of the epoch's batches were drawn.

    Raises:
        ValueError: The batch cannot be shared equally, or there is no such rank.

    Examples:
        >>> progress = Progress(length=2, batch_size=2, rank=1, world_size=2, identity={})
        >>> list(progress.remaining(lambda *_: np.array([[0, 1], [2, 3]])))
        [(0, [1]), (0, [3])]
    """

    def __init__(
        self, length: int, batch_size: int, rank: int, world_size: int, identity: dict[str, Any]
    ) -> None:
        check_counts(length=length)
        check_rank(rank, world_size)
        if batch_size % world_size:
            raise ValueError(
                f"a global batch of {batch_size} images cannot be shared equally by "
                f"{world_size} ranks ({batch_size} / {world_size} = {batch_size / world_size:.2f})"
            )
        self.length = length
        self.batch_size = batch_size
        self.rank = rank
        self.world_size = world_size
        self.identity = identity
        self.epoch = 0
        self.position = 0

    def set_epoch(self, epoch: int) -> None:
        """Go to the start of an epoch; stay where we are if it is the current one."""
        if epoch != self.epoch:
            self.epoch, self.position = epoch, 0

    def begin(self) -> None:
        """Before a pass over the batches: when the epoch is used up, go on to the next."""
        if self.position >= self.length:
            self.set_epoch(self.epoch + 1)

    def remaining(
        self, batches: Callable[[int, int, int], GlobalBatches]
    ) -> Iterator[tuple[int, list[int]]]:
        """The rest of the epoch as (epoch, this rank's share), without moving on."""
        epoch, step = self.epoch, max(1, _INDICES_AT_ONCE // self.batch_size)
        for first in range(self.position, self.length, step):
            whole = batches(epoch, first, min(first + step, self.length))
            for share in whole[:, self.rank :: self.world_size].tolist():
                yield epoch, share

    def state_dict(self) -> dict[str, Any]:
        """Epoch, position, and what must be equal to go on from there."""
        return {"epoch": self.epoch, "position": self.position, "sampler": dict(self.identity)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state.

        Raises:
            ValueError: The state is that of a sampler that draws other batches.
        """
        saved = state["sampler"]
        differences = [
            f"{key} was {saved.get(key)!r} and is {self.identity.get(key)!r}"
            for key in sorted(saved.keys() | self.identity.keys())
            if saved.get(key) != self.identity.get(key)
        ]
        if differences:
            raise ValueError(
                "the saved state is of a sampler that draws other batches: "
                + "; ".join(differences)
            )
        self.epoch, self.position = state["epoch"], state["position"]


class BatchSampler(Sampler[list[int]], ABC):
    """A batch sampler whose batches are a pure function of (seed, epoch, position).

    A subclass builds `progress` in its constructor and says in `batches` which images make a batch
    of all ranks; one pass over the sampler yields the rest of an epoch as this rank's share. Its
    state is that of `progress`, the same on every rank.

    Examples:
        >>> class InOrder(BatchSampler):
        ...     progress = Progress(length=2, batch_size=3, rank=0, world_size=1, identity={})
        ...
        ...     def batches(self, epoch, first, last):
        ...         return np.arange(6).reshape(2, 3)[first:last]
        >>> list(InOrder())
        [[0, 1, 2], [3, 4, 5]]
    """

    progress: Progress

    @abstractmethod
    def batches(self, epoch: int, first: int, last: int) -> GlobalBatches:
        """The global batches at positions first..last − 1 of an epoch."""

    def key(self, epoch: int, position: int) -> tuple[int, int]:
        """What an image is augmented by, in place of the epoch, and its position in the split."""
        return epoch, position

    def __len__(self) -> int:
        return self.progress.length

    def __iter__(self) -> Iterator[list[int]]:
        self.progress.begin()
        for _, share in self.progress.remaining(self.batches):
            self.progress.position += 1
            yield share

    @property
    def sampler(self) -> "BatchSampler":
        """Itself: Lightning calls set_epoch on `batch_sampler.sampler` only."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Go to the start of an epoch; stay where we are if it is the current one."""
        self.progress.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Epoch and position, the same on every rank."""
        return self.progress.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state; one of another configuration is refused."""
        self.progress.load_state_dict(state)
