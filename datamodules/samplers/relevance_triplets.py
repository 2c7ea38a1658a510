"""Batches of triplets drawn by relevance."""

import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from ranklight.datamodules.randomness import random_bits
from ranklight.datamodules.samplers.arguments import check_seed, class_indices, epoch_length
from ranklight.datamodules.samplers.batch_sampler import BatchSampler, GlobalBatches, Progress
from ranklight.datamodules.samplers.pair_relevance import OfPairs, total_relevance
from ranklight.datamodules.samplers.triplet_buffers import TripletBuffers, TripletRule
from ranklight.kernels.checks import check_counts

_STREAM = 3


class RelevanceTriplets(BatchSampler):
    """Batches [q, p, n, q, p, n, ...]: queries, more and less relevant images.

    An epoch is one pass over the images in an order of its own, which come by `TripletBuffers`; see
    there for how triplets are drawn. Before the first batch the buffers take in as many images as
    they hold together (all, if there are no more), then equally many before each batch. Images of
    classes alone and images with no relevant other are in no triplet.

    A batch is a pure function of (seed, epoch, position). It depends on what came by, so going on
    in the middle of an epoch lets the stream of that epoch come by once more, without any image
    being read.

    A rank takes whole triplets: t, t + w, t + 2w, ... of w ranks. The global batch is laid out so
    that the rows r, r + w, r + 2w, ... are those of rank r, again as [q, p, n, ...]; on one rank it
    is the plain list. The miner `BatchTriplets` selects these triplets.

    The online sampler of deep ranking (Wang et al., CVPR 2014, arXiv 1404.4661), where class means
    the text query that found an image. Its buffer sizes, T_p and T_r are not published.

    Args:
        classes: One class index per image.
        of_pairs: Relevance of pairs of images, see `relevance_of_pairs`; it is called with pairs of
            one class only.
        triplets_per_batch: Triplets in the global batch, that of all ranks together.
        buffer_size: Images in the buffer of a class; larger is a better sample, and older.
        rule: How triplets are drawn; default `TripletRule()`, the paper's 20 % of other classes.
        total: r_i of each image; computed by default, in time O(Σ class size²).
        batches_per_epoch: Length of an epoch; by default images // (3 × triplets_per_batch).
        seed: Another seed is other triplets.
        rank: Which share of the batch to take.
        world_size: How many ranks share a batch.

    Raises:
        ValueError: Relevance is 0 between all images, or not finite; triplets that the ranks cannot
            share; and when drawing, if hardly any candidate is accepted.

    Examples:
        >>> classes = np.array([0, 0, 1, 1])
        >>> sampler = RelevanceTriplets(classes, lambda i, j: np.ones(len(i)), 1)
        >>> query, positive, negative = next(iter(sampler))
        >>> bool(classes[query] == classes[positive])
        True
    """

    def __init__(
        self,
        classes: Sequence[int] | Int[np.ndarray, "n"] | Int[Tensor, "n"],
        of_pairs: OfPairs,
        triplets_per_batch: int,
        buffer_size: int = 100,
        rule: TripletRule | None = None,
        total: Float[np.ndarray, "n"] | None = None,
        batches_per_epoch: int | None = None,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        check_counts(triplets_per_batch=triplets_per_batch, buffer_size=buffer_size)
        check_seed(seed)
        indices = class_indices(classes, "RelevanceTriplets")
        self._classes = np.unique(indices, return_inverse=True)[1].astype(np.int64)
        self._of_pairs = of_pairs
        self._total = total_relevance(of_pairs, self._classes) if total is None else total
        _check(self._total, triplets_per_batch, world_size)
        self.triplets_per_batch = triplets_per_batch
        self.buffer_size = buffer_size
        self.rule = rule or TripletRule()
        self.seed = seed
        size = len(self._classes)
        contents = self._classes.tobytes() + np.asarray(self._total).tobytes()
        identity = {
            "kind": "RelevanceTriplets",
            "images": size,
            "triplets_per_batch": triplets_per_batch,
            "buffer_size": buffer_size,
            **self.rule._asdict(),
            "batches_per_epoch": batches_per_epoch,
            "relevance": hashlib.sha256(contents).hexdigest()[:16],
            "seed": seed,
        }
        length = epoch_length(batches_per_epoch, max(1, size // (3 * triplets_per_batch)))
        self.progress = Progress(length, 3 * triplets_per_batch, rank, world_size, identity)
        self._epoch, self._came_by = -1, 0
        self._order: NDArray[np.int64] = np.arange(size)
        self._buffers = self._empty_buffers()

    def statistics(self) -> dict[str, float]:
        """Of the current epoch's buffers so far, drawn ahead of training.

        `acceptance`: share of candidates that were accepted; `given_up`: share of queries without a
        triplet; `buffer_age`: how many images came by since those in the buffers did, on average.
        """
        counts = self._buffers.counts
        return {
            "acceptance": counts["accepted"] / max(1, counts["proposed"]),
            "given_up": counts["given_up"] / max(1, counts["queries"]),
            "buffer_age": self._buffers.age,
        }

    def batches(self, epoch: int, first: int, last: int) -> GlobalBatches:
        """The global batches at positions first..last − 1 of an epoch, in the order of the ranks.

        The triplets of a position are the same on any number of ranks.
        """
        triplets = np.stack([self._triplets(epoch, position) for position in range(first, last)])
        ranks = self.progress.world_size
        shared = triplets.reshape(last - first, -1, ranks, 3).transpose(0, 1, 3, 2)
        return shared.reshape(last - first, -1)

    def _triplets(self, epoch: int, position: int) -> Int[np.ndarray, "t 3"]:
        size = len(self._classes)
        until = min(size, max(self._capacity(), -(-size * (position + 1) // len(self))))
        if epoch != self._epoch or until < self._came_by:
            images = np.arange(size)
            self._order = np.lexsort((images, random_bits(self.seed, _STREAM, epoch, images)))
            self._epoch, self._came_by, self._buffers = epoch, 0, self._empty_buffers()
        images = self._order[self._came_by : until]
        self._buffers.add(images, self._classes[images], self._total[images], epoch)
        self._came_by = until
        return self._buffers.draw(self.triplets_per_batch, epoch, position)

    def _capacity(self) -> int:
        return self.buffer_size * (int(self._classes.max()) + 1)

    def _empty_buffers(self) -> TripletBuffers:
        classes = int(self._classes.max()) + 1
        return TripletBuffers(classes, self.buffer_size, self._of_pairs, self.rule, self.seed)


def _check(total: NDArray[np.float64], triplets: int, world_size: int) -> None:
    broken = ~(np.isfinite(total) & (total >= 0))
    if broken.any():
        row = int(broken.argmax())
        raise ValueError(
            f"the total relevance of image {row} is {total[row]:g}, and relevance must be 0..1, as "
            "that of pairs.ByFeatures and pairs.GradedByAttributes is"
        )
    if not total.any():
        raise ValueError("relevance is 0 for every pair of images of one class: no triplets")
    if triplets < 1 or triplets % world_size:
        raise ValueError(
            f"{triplets} triplets a batch cannot be shared equally by {world_size} ranks"
        )
