"""Anchors with the images of the nearest labels, and random others."""

import hashlib

import numpy as np
from jaxtyping import Bool, Int
from numpy.typing import NDArray

from ranklight.datamodules.randomness import random_bits
from ranklight.datamodules.samplers.arguments import check_seed
from ranklight.datamodules.samplers.batch_sampler import BatchSampler, GlobalBatches, Progress
from ranklight.kernels.checks import check_counts

_ANCHORS, _OTHERS = 1, 2


class NearestLabels(BatchSampler):
    """Batches of anchors, each with the k images of the nearest labels, filled up at random.

    **The order inside a global batch**: the anchors, then the neighbours of the first anchor,
    nearest first, those of the second, ..., then random images. No image is in a batch twice: a
    neighbour that is already there makes room for one more random image. So with one anchor row 0
    is the anchor and rows 1..k are its neighbours. A rank takes every w-th row of the global batch;
    the miner `FirstAnchors` knows which of its rows are anchors, where only these should be.

    Every image is an anchor once an epoch, in an order drawn for the epoch; where the anchors of a
    batch do not divide the images, the last batch takes some of the epoch's first anchors again.
    The random images are drawn afresh for every batch, each equally likely. A batch is a pure
    function of (seed, epoch, position): nothing is counted and nothing replayed.

    The dense batch of the log-ratio loss (Kim et al., CVPR 2019, arXiv 1904.09626): there one
    anchor, its 5 nearest and 144 random images, the anchor's row being the only one that learns
    from label distances. The released code draws random images by label rank and keeps them sorted.

    Args:
        size: Number of images.
        neighbours: The nearest other images of each, nearest first, for example the `index` of
            `label_neighbours` or of `read_neighbours`. No columns: the batch is random.
        batch_size: Images in the global batch, that of all ranks together.
        anchors: How many of them are anchors.
        seed: Another seed is another order and other random images.
        rank: Which share of the batch to take, `batch[rank::world_size]`.
        world_size: How many ranks share a batch.

    Raises:
        TypeError: Neighbours are no array of integers.
        ValueError: Neighbours of another number of images, anchors and neighbours that a batch
            cannot hold, fewer images than a batch, or a batch that the ranks cannot share.

    Examples:
        >>> nearest = np.array([[1], [0], [3], [2]])
        >>> anchor, neighbour, _ = next(iter(NearestLabels(4, nearest, batch_size=3)))
        >>> abs(anchor - neighbour)
        1
    """

    def __init__(
        self,
        size: int,
        neighbours: Int[np.ndarray, "n k"],
        batch_size: int,
        anchors: int = 1,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        check_counts(size=size, batch_size=batch_size, anchors=anchors)
        check_seed(seed)
        _check(size, neighbours, batch_size, anchors)
        self.size = size
        self.anchors = anchors
        self.seed = seed
        self._neighbours = neighbours.astype(np.int32 if size < 2**31 else np.int64)
        self._order: tuple[int, NDArray[np.int64]] | None = None
        identity = {
            "kind": "NearestLabels",
            "images": size,
            "batch_size": batch_size,
            "anchors": anchors,
            "neighbours": neighbours.shape[1],
            "lists": hashlib.sha256(self._neighbours.tobytes()).hexdigest()[:16],
            "seed": seed,
        }
        self.progress = Progress(-(-size // anchors), batch_size, rank, world_size, identity)

    def batches(self, epoch: int, first: int, last: int) -> GlobalBatches:
        """The global batches at positions first..last − 1 of an epoch."""
        positions = np.arange(first, last)
        ranks = (positions[:, None] * self.anchors + np.arange(self.anchors)) % self.size
        anchors = self._anchor_order(epoch)[ranks]
        nearest = self._neighbours[anchors].reshape(len(anchors), -1)
        leading = np.concatenate([anchors, nearest], 1)
        streams = random_bits(self.seed, _OTHERS, epoch, positions)[:, None]
        # Enough draws for nearly every batch; those that need more go on in the same streams.
        others = self.progress.batch_size - self.anchors
        draws = others + 8 + 2 * others * self.progress.batch_size // self.size
        filled = np.empty((len(positions), self.progress.batch_size), np.int64)
        missing = positions - first
        while len(missing):
            batches, full = self._filled(leading[missing], streams[missing], draws)
            filled[missing[full]] = batches[full]
            missing, draws = missing[~full], 2 * draws
        return filled

    def _filled(
        self, leading: NDArray[np.integer], streams: NDArray[np.uint64], draws: int
    ) -> tuple[Int[np.ndarray, "b batch"], Bool[np.ndarray, "b"]]:
        """The first distinct images of each row, and whether these are enough."""
        bits = random_bits(streams, np.arange(draws)) >> np.uint64(32)
        others = (bits * np.uint64(self.size) >> np.uint64(32)).astype(np.int64)
        images = np.concatenate([leading, others], 1)
        batch_size = self.progress.batch_size
        repeats = _repeats(images)
        full = images.shape[1] - repeats.sum(1) >= batch_size
        # A sort of (repeat, column) moves what is no repeat to the front, in order.
        order = np.sort(repeats * (1 << 32) + np.arange(images.shape[1]), axis=1)[:, :batch_size]
        return np.take_along_axis(images, order & 0xFFFFFFFF, 1), full

    def _anchor_order(self, epoch: int) -> NDArray[np.int64]:
        if self._order is None or self._order[0] != epoch:
            images = np.arange(self.size)
            order = np.lexsort((images, random_bits(self.seed, _ANCHORS, epoch, images)))
            self._order = epoch, order
        return self._order[1]


def _repeats(images: Int[np.ndarray, "b w"]) -> Bool[np.ndarray, "b w"]:
    """Where an image stands that is further left in its row, too."""
    width = np.int64(images.shape[1])
    keys = np.sort(images * width + np.arange(width), axis=1)
    image, column = np.divmod(keys, width)
    repeated = np.zeros(images.shape, dtype=bool)
    repeated[:, 1:] = image[:, 1:] == image[:, :-1]
    repeats = np.zeros_like(repeated)
    np.put_along_axis(repeats, column, repeated, 1)
    return repeats


def _check(size: int, neighbours: NDArray[np.integer], batch_size: int, anchors: int) -> None:
    if not isinstance(neighbours, np.ndarray) or neighbours.dtype.kind not in "iu":
        given = getattr(neighbours, "dtype", type(neighbours).__name__)
        raise TypeError(f"neighbours must be a NumPy array of integers; got {given}")
    if neighbours.ndim != 2:
        raise ValueError(f"neighbours must have the shape [n, k]; got {list(neighbours.shape)}")
    if len(neighbours) != size:
        raise ValueError(f"the lists are for {len(neighbours)} images, the data set has {size}")
    if neighbours.size and not 0 <= neighbours.min() <= neighbours.max() < size:
        raise ValueError(
            f"the lists name images {neighbours.min()}..{neighbours.max()}, the data set has "
            f"0..{size - 1}"
        )
    k = neighbours.shape[1]
    if anchors * (1 + k) > batch_size:
        raise ValueError(
            f"a batch of {batch_size} images cannot hold {anchors} anchors with {k} neighbours each"
        )
    if size < batch_size:
        raise ValueError(f"batch_size is {batch_size}, but there are only {size} images")
