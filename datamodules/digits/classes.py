"""Real images to classify without a download: all ten digits in training, balanced or not."""

from typing import Literal

import numpy as np

from ranklight.datamodules.digits.digits import Scenes
from ranklight.datamodules.digits.drawing import handwritten_digits
from ranklight.datamodules.loaders import (
    hold_out,
    split_hash,
)
from ranklight.datamodules.long_tail import long_tail
from ranklight.datamodules.split_data import SplitData
from ranklight.datamodules.training_batches import TrainingBatches


class DigitClasses(SplitData):
    """Scenes of handwritten digits, 32×32 pixels in one channel: which of ten classes is it?

    The 1,797 digits come with scikit-learn (Alpaydin, Kaynak, UCI repository, 1998), so nothing is
    downloaded; `Scenes` says how they are drawn. Of each class 60 % of the digits (104 to 110) are
    for training, 15 % for validation and 25 % for test. `imbalance_ratio` thins out the training
    part alone: validation and test stay balanced.

    Args:
        classes_per_batch: P, for batches of P classes with K images each.
        samples_per_class: K.
        batch_size: Instead of P and K: images in a shuffled batch.
        imbalance_ratio: The largest training class to the smallest; 1 keeps all images.
        imbalance_shape: How class sizes fall, see `long_tail`.
        seed: Of the split, the imbalance and the drawing of validation and test.
        train_seed: Of the batches and the drawing of training scenes; None is 0. Runs that differ
            in it alone are validated and tested on the same images.
        eval_batch_size: Scenes in a batch of validation and test.
        num_workers: Processes that draw scenes; 0 is fast enough.
        pin_memory: Put batches in page-locked memory, for faster copies to a GPU.

    Attributes:
        class_names: The digits.
        split_hash: Names which digit is in which split.

    Raises:
        ValueError: Not exactly one of P and K together, or batch_size.
    """

    train: Scenes
    val: Scenes
    test: Scenes
    class_names = tuple("0123456789")

    def __init__(
        self,
        classes_per_batch: int | None = None,
        samples_per_class: int | None = None,
        batch_size: int | None = None,
        imbalance_ratio: float = 1.0,
        imbalance_shape: Literal["exponential", "step"] = "exponential",
        seed: int = 0,
        train_seed: int | None = None,
        eval_batch_size: int = 256,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        super().__init__()
        self.batches = TrainingBatches(classes_per_batch, samples_per_class, batch_size)
        self.imbalance_ratio = imbalance_ratio
        self.imbalance_shape = imbalance_shape
        self.seed = seed
        self.train_seed = train_seed or 0
        self.eval_batch_size = eval_batch_size
        self.num_workers = num_workers
        self.pin_memory = pin_memory

    def setup(self, stage: str | None = None) -> None:
        """Split the digits, thin out the training part, and refuse batches that it cannot fill.

        Raises:
            ValueError: Fewer images or classes than a batch needs, or a ratio below 1.
        """
        digits, labels = handwritten_digits()
        rest, test = hold_out(labels, 0.25, "image_disjoint", self.seed)
        kept, held = hold_out(labels[rest], 0.2, "image_disjoint", self.seed + 1)
        train, val = rest[kept], rest[held]
        train = train[
            long_tail(labels[train], self.imbalance_ratio, self.imbalance_shape, self.seed)
        ]
        self.train = Scenes(digits, labels, train, self.train_seed)
        self.val = Scenes(digits, labels, val, self.seed)
        self.test = Scenes(digits, labels, test, self.seed)
        self.split_hash = split_hash(train, val, test)
        self.train_sampler = self.batches.sampler(np.asarray(self.train.labels), self.train_seed)
