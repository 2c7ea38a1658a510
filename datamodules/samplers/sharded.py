"""What one rank evaluates."""

from collections.abc import Iterator

from torch.utils.data import Sampler

from ranklight.datamodules.samplers.arguments import check_rank
from ranklight.kernels.checks import check_counts


class Sharded(Sampler[int]):
    """Rank r of w takes images r, r + w, r + 2w, ...: all ranks together take each exactly once.

    Torch's DistributedSampler pads the shards to equal length by repeating images, which are then
    scored twice. Here shards differ in length by at most one, and one may be empty.

    Args:
        size: Number of images.
        rank: Whose shard.
        world_size: Number of ranks.

    Raises:
        ValueError: There is no such rank.

    Examples:
        >>> [list(Sharded(5, rank, world_size=2)) for rank in range(2)]
        [[0, 2, 4], [1, 3]]
    """

    def __init__(self, size: int, rank: int = 0, world_size: int = 1) -> None:
        if size:
            check_counts(size=size)
        check_rank(rank, world_size)
        self.images = range(rank, size, world_size)

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[int]:
        return iter(self.images)
