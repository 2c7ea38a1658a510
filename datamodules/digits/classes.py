"""Real images to classify without a download: all ten digits in training, balanced or not."""

from typing import Any

import numpy as np

from ranklight.datamodules.batches import Batches
from ranklight.datamodules.digits.cluttered import ClutteredDigits
from ranklight.datamodules.digits.handwritten import handwritten_digits, split_digits
from ranklight.datamodules.long_tail import Shape, check_tail, long_tail
from ranklight.datamodules.split_data import SplitData
from ranklight.datamodules.splits import split_hash
from ranklight.datamodules.training_batches import TrainingBatches


class DigitClasses(SplitData):
    """Scenes of handwritten digits, 32×32 pixels in one channel: which of ten classes is it?

    The 1,797 digits come with scikit-learn (Alpaydin, Kaynak, UCI repository, 1998), so nothing is
    downloaded; `ClutteredDigits` says how they are drawn. Of each class 60 % of the digits (104 to
    110) are for training, 15 % for validation and 25 % for test. `imbalance_ratio` thins out the
    training split alone: validation and test stay balanced.

    Args:
        classes_per_batch: P, for batches of P classes with K images each.
        samples_per_class: K.
        batch_size: Instead of P and K: images in a shuffled batch.
        batches: Instead of numbers: batches of another kind, such as `HardClassBatches`,
            `SuperClassBatches`, `WeightedPxK` or `ViewBatches`.
        imbalance_ratio: The largest training class to the smallest; 1 keeps all images.
        imbalance_shape: How class sizes fall, see `long_tail`.
        num_workers: Processes that draw scenes; 0 is fast enough.
        **options: Of `SplitData`: seeds and loaders.

    Attributes:
        class_names: The digits.
        split_hash: Names which digit is in which split.

    Raises:
        ValueError: Not exactly one of P and K together, batch_size, or batches.
    """

    train: ClutteredDigits
    val: ClutteredDigits
    test: ClutteredDigits
    class_names = tuple("0123456789")

    def __init__(
        self,
        classes_per_batch: int | None = None,
        samples_per_class: int | None = None,
        batch_size: int | None = None,
        batches: Batches | None = None,
        imbalance_ratio: float = 1.0,
        imbalance_shape: Shape = "exponential",
        num_workers: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(num_workers=num_workers, **options)
        self.batches = TrainingBatches(classes_per_batch, samples_per_class, batch_size, batches)
        check_tail(imbalance_ratio, imbalance_shape)
        self.imbalance_ratio = imbalance_ratio
        self.imbalance_shape = imbalance_shape

    def setup(self, stage: str | None = None) -> None:
        """Split the digits, thin out the training split, and refuse batches that it cannot fill.

        Raises:
            ValueError: Fewer images or classes than a batch needs, or a ratio below 1.
        """
        digits, labels = handwritten_digits()
        train, val, test = split_digits(self.split_seed)
        train = train[
            long_tail(labels[train], self.imbalance_ratio, self.imbalance_shape, self.split_seed)
        ]
        self.train = ClutteredDigits(digits, labels, train, self.seed)
        self.val = ClutteredDigits(digits, labels, val, self.split_seed)
        self.test = ClutteredDigits(digits, labels, test, self.split_seed)
        self.split_hash = split_hash(train, val, test)
        self.train_sampler = self.batches.sampler(
            np.asarray(self.train.labels), self.seed, self.class_names
        )
