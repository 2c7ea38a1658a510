"""Batches of a shuffled data set, whatever the labels."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from ranklight.datamodules.randomness import random_bits
from ranklight.datamodules.samplers.progress import GlobalBatches, Progress


class Shuffled(Sampler[list[int]]):
    """Each epoch a new order of the images, cut into batches; an incomplete last one is left out.

    The order follows from (seed, epoch) alone, whatever the number of ranks.

    Args:
        size: Number of images.
        batch_size: Images in the global batch, that of all ranks together.
        seed: Another seed is another order.
        rank: Which share of the batch to take, `batch[rank::world_size]`.
        world_size: How many ranks share a batch.

    Raises:
        ValueError: Fewer images than a batch, or a batch that the ranks cannot share.
    """

    def __init__(
        self, size: int, batch_size: int, seed: int = 0, rank: int = 0, world_size: int = 1
    ) -> None:
        if size < batch_size:
            raise ValueError(f"batch_size is {batch_size}, but there are only {size} images")
        self.size = size
        self.seed = seed
        identity = {"kind": "Shuffled", "images": size, "batch_size": batch_size, "seed": seed}
        self.progress = Progress(size // batch_size, batch_size, rank, world_size, identity)
        self._order: tuple[int, NDArray[np.int64]] | None = None

    def __len__(self) -> int:
        return self.progress.length

    def __iter__(self) -> Iterator[list[int]]:
        return self.progress.run(self.batches)

    @property
    def sampler(self) -> "Shuffled":
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

    def batches(self, epoch: int, first: int, last: int) -> GlobalBatches:
        """The global batches at positions first..last − 1 of an epoch."""
        if self._order is None or self._order[0] != epoch:
            images = np.arange(self.size)
            self._order = epoch, np.lexsort((images, random_bits(self.seed, epoch, images)))
        batch_size = self.progress.batch_size
        return self._order[1][first * batch_size : last * batch_size].reshape(-1, batch_size)
