"""Batches of a shuffled data set, whatever the labels."""

import numpy as np
from numpy.typing import NDArray

from ranklight.datamodules.randomness import random_bits
from ranklight.datamodules.samplers.arguments import check_seed
from ranklight.datamodules.samplers.batch_sampler import BatchSampler, GlobalBatches, Progress
from ranklight.kernels.checks import check_counts


class Shuffled(BatchSampler):
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

    Examples:
        >>> sorted(image for batch in Shuffled(6, batch_size=2) for image in batch)
        [0, 1, 2, 3, 4, 5]
    """

    def __init__(
        self, size: int, batch_size: int, seed: int = 0, rank: int = 0, world_size: int = 1
    ) -> None:
        check_counts(size=size, batch_size=batch_size)
        check_seed(seed)
        if size < batch_size:
            raise ValueError(f"batch_size is {batch_size}, but there are only {size} images")
        self.size = size
        self.seed = seed
        identity = {"kind": "Shuffled", "images": size, "batch_size": batch_size, "seed": seed}
        self.progress = Progress(size // batch_size, batch_size, rank, world_size, identity)
        self._order: tuple[int, NDArray[np.int64]] | None = None

    def batches(self, epoch: int, first: int, last: int) -> GlobalBatches:
        """The global batches at positions first..last − 1 of an epoch."""
        if self._order is None or self._order[0] != epoch:
            images = np.arange(self.size)
            self._order = epoch, np.lexsort((images, random_bits(self.seed, epoch, images)))
        batch_size = self.progress.batch_size
        return self._order[1][first * batch_size : last * batch_size].reshape(-1, batch_size)
