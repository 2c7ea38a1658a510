"""Batches of class data: P classes with K images each, shuffled images, or any others."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import torch
from jaxtyping import Int

from ranklight.datamodules.batches import Batches, PxK, ShuffledBatches
from ranklight.datamodules.labels.rows import RowLabels
from ranklight.datamodules.samplers import BatchSampler


class TrainingBatches:
    """The choice between P×K batches and shuffled ones, made by giving numbers for one of them.

    Args:
        classes_per_batch: P.
        samples_per_class: K; a class with fewer images repeats some.
        batch_size: Images in a shuffled global batch, that of all ranks together.
        others: Any other batches, in place of numbers.

    Raises:
        ValueError: Not exactly one of P and K together, batch_size, or others.
    """

    def __init__(
        self,
        classes_per_batch: int | None,
        samples_per_class: int | None,
        batch_size: int | None,
        others: Batches | None = None,
    ) -> None:
        given = (classes_per_batch, samples_per_class, batch_size, others)
        if [each is None for each in given] not in (
            [True, True, False, True],
            [False, False, True, True],
            [True, True, True, False],
        ):
            raise ValueError(
                "give either classes_per_batch and samples_per_class (for example 8 and 4), or "
                "batch_size (for example 32) for shuffled batches, or batches of another kind; got "
                f"classes_per_batch {classes_per_batch}, samples_per_class {samples_per_class}, "
                f"batch_size {batch_size}, batches {type(others).__name__ if others else None}"
            )
        self.batches = others or (
            PxK(classes_per_batch or 0, samples_per_class or 0)
            if batch_size is None
            else ShuffledBatches(batch_size)
        )

    def sampler(
        self,
        labels: Int[np.ndarray, "n"],
        seed: int,
        class_names: Sequence[str] = (),
        levels: Mapping[str, Int[np.ndarray, "n"]] = MappingProxyType({}),
    ) -> BatchSampler:
        """This rank's share of the batches drawn from images with these labels.

        Args:
            labels: The class of each image.
            seed: Another seed is another order.
            class_names: The name of each class index.
            levels: Further classes of each image, by name.

        Raises:
            ValueError: Fewer images or classes than a batch needs.
        """
        values = torch.from_numpy(labels)
        rows = RowLabels(values, tuple(class_names), labels, levels=levels)
        return self.batches.sampler(rows, seed)
