"""Where a batch sampler stands, and the share of its batches that one rank takes."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

GlobalBatches = Int[np.ndarray, "batches batch"]
_INDICES_AT_ONCE = 2**17


@runtime_checkable
class Resumable(Protocol):
    """A batch sampler whose batches are a pure function of (seed, epoch, position)."""

    progress: "Progress"

    def batches(self, epoch: int, first: int, last: int) -> GlobalBatches:
        """The global batches at positions first..last − 1 of an epoch."""
        ...


class Progress:
    """The epoch and position of a batch sampler, the same on every rank.

    A batch sampler draws global batches; rank r of w takes `batch[r::w]` of each. Its place is
    therefore two numbers that know nothing of ranks or workers, and a checkpoint of rank 0 serves
    all ranks, also on another number of them.

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
    """

    def __init__(
        self, length: int, batch_size: int, rank: int, world_size: int, identity: dict[str, Any]
    ) -> None:
        if not 0 <= rank < world_size:
            raise ValueError(f"rank must be 0..{world_size - 1} of {world_size} ranks; got {rank}")
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

    def ahead(
        self, batches: Callable[[int, int, int], GlobalBatches]
    ) -> Iterator[tuple[int, list[int]]]:
        """The rest of the epoch as (epoch, this rank's share), without moving on."""
        epoch, step = self.epoch, max(1, _INDICES_AT_ONCE // self.batch_size)
        for first in range(self.position, self.length, step):
            drawn = batches(epoch, first, min(first + step, self.length))
            for share in drawn[:, self.rank :: self.world_size].tolist():
                yield epoch, share

    def run(self, batches: Callable[[int, int, int], GlobalBatches]) -> Iterator[list[int]]:
        """The rest of the epoch as this rank's share, moving on with each batch."""
        self.begin()
        for _, share in self.ahead(batches):
            self.position += 1
            yield share

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
