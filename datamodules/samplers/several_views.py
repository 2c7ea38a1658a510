"""Each image of a batch more than once, every time augmented anew."""

import numpy as np

from ranklight.datamodules.samplers.batch_sampler import BatchSampler, GlobalBatches, Progress
from ranklight.kernels.checks import check_counts

_VIEW = 2**40
"""Epochs of a view, of which no run has as many."""


class SeveralViews(BatchSampler):
    """The batches of another sampler, each image in several views side by side.

    A view is the image with an augmentation of its own, a function of (seed, epoch, view, index).
    Views of an image are one class to each other, as they have its label; SupCon (Khosla et al.,
    NeurIPS 2020, arXiv 2004.11362) has two. With a label of its own for every image they are the
    only positives, as in SimCLR.

    Args:
        sampler: Draws the images; its ranks are those of the batches here.
        size: How many images there are to draw from.
        views: Of each image.

    Raises:
        ValueError: Fewer than 1 view.

    Examples:
        >>> from ranklight.datamodules.samplers import Shuffled
        >>> sampler = SeveralViews(Shuffled(2, batch_size=2), size=2)
        >>> batch = next(iter(sampler))
        >>> sorted(sampler.key(0, position)[1] for position in batch)
        [0, 0, 1, 1]
    """

    def __init__(self, sampler: BatchSampler, size: int, views: int = 2) -> None:
        check_counts(size=size, views=views)
        inner = sampler.progress
        self.drawn = sampler
        self.size = size
        self.views = views
        self.progress = Progress(
            inner.length,
            inner.batch_size * views,
            inner.rank,
            inner.world_size,
            {**inner.identity, "views": views},
        )

    def batches(self, epoch: int, first: int, last: int) -> GlobalBatches:
        """The global batches at positions first..last − 1 of an epoch, view after view."""
        drawn = self.drawn.batches(epoch, first, last)
        return np.concatenate([drawn + self.size * view for view in range(self.views)], 1)

    def key(self, epoch: int, position: int) -> tuple[int, int]:
        """The epoch that the view is augmented by, and the position of its image."""
        view, image = divmod(position, self.size)
        return epoch + _VIEW * view, image
