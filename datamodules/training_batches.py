"""Batches of class data: P classes with K images each, or shuffled images."""

import numpy as np
from jaxtyping import Int

from ranklight.datamodules.samplers import ClassBalanced, Shuffled
from ranklight.kernels.distributed import rank_and_world_size


class TrainingBatches:
    """The choice between P×K batches and shuffled ones, made by giving numbers for one of them.

    Args:
        classes_per_batch: P.
        samples_per_class: K; a class with fewer images repeats some.
        batch_size: Images in a shuffled global batch, that of all ranks together.

    Raises:
        ValueError: Not exactly one of P and K together, or batch_size.
    """

    def __init__(
        self, classes_per_batch: int | None, samples_per_class: int | None, batch_size: int | None
    ) -> None:
        numbers = (classes_per_batch, samples_per_class, batch_size)
        if [number is None for number in numbers] not in (
            [True, True, False],
            [False, False, True],
        ):
            raise ValueError(
                "give either classes_per_batch and samples_per_class (for example 8 and 4), or "
                f"batch_size (for example 32) for shuffled batches; got classes_per_batch "
                f"{classes_per_batch}, samples_per_class {samples_per_class}, "
                f"batch_size {batch_size}"
            )
        self.classes_per_batch = classes_per_batch
        self.samples_per_class = samples_per_class
        self.batch_size = batch_size

    def sampler(self, labels: Int[np.ndarray, "n"], seed: int) -> ClassBalanced | Shuffled:
        """This rank's share of the batches drawn from images with these labels.

        Raises:
            ValueError: Fewer images or classes than a batch needs.
        """
        rank, world_size = rank_and_world_size()
        if self.batch_size is not None:
            return Shuffled(len(labels), self.batch_size, seed, rank, world_size)
        assert self.classes_per_batch is not None
        assert self.samples_per_class is not None
        return ClassBalanced(
            labels,
            self.classes_per_batch,
            self.samples_per_class,
            seed,
            rank=rank,
            world_size=world_size,
        )
