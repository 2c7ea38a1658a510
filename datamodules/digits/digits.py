"""Real images without a download: scikit-learn's handwritten digits in cluttered scenes."""

from typing import Any

import numpy as np

from ranklight.datamodules.batches import Batches, PxK
from ranklight.datamodules.digits.cluttered import ClutteredDigits
from ranklight.datamodules.digits.handwritten import handwritten_digits
from ranklight.datamodules.labels.rows import RowLabels
from ranklight.datamodules.split_data import SplitData
from ranklight.datamodules.splits import Fold, Validation, fold_or_fraction, hold_out, split_hash
from ranklight.kernels.checks import check_choice


class Digits(SplitData):
    """Scenes of handwritten digits: train on 0..4, test on 5..9, 32×32 pixels in one channel.

    The 1,797 digits come with scikit-learn (Alpaydin, Kaynak, UCI repository, 1998), so nothing is
    downloaded. `ClutteredDigits` says how they are drawn: every epoch anew in training, always
    alike in evaluation. Nearest neighbours on raw pixels find the right class for 0.45 of the test
    scenes.

    Args:
        classes_per_batch: P.
        samples_per_class: K.
        batches: Instead of these: batches of another kind, such as `HardClassBatches`.
        validation: "image_disjoint": some of the images of all training classes;
            "class_disjoint": of the five training classes, some are for validation only, and a
            batch then has at most as many classes as are left.
        validation_fraction: How much of the training split is for validation.
        fold: [k, n]: of n folds of all that is not for test the one numbered k, from 0, is for
            validation, in place of a fraction.
        num_workers: Processes that draw scenes; 0 is fast enough.
        **options: Of `SplitData`: seeds and loaders.

    Attributes:
        split_hash: Names which digit is in which split.
    """

    train: ClutteredDigits
    val: ClutteredDigits
    test: ClutteredDigits

    def __init__(
        self,
        classes_per_batch: int = 5,
        samples_per_class: int = 16,
        batches: Batches | None = None,
        validation: Validation = "image_disjoint",
        validation_fraction: float = 0.2,
        fold: Fold | None = None,
        num_workers: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(num_workers=num_workers, **options)
        self.batches = batches or PxK(classes_per_batch, samples_per_class)
        check_choice(Validation, validation=validation)
        self.validation = validation
        self.held_out = fold_or_fraction(fold, validation_fraction)

    def setup(self, stage: str | None = None) -> None:
        """Split the digits, and refuse batches that they cannot fill.

        Raises:
            ValueError: More classes or samples per class than the training split has.
        """
        digits, labels = handwritten_digits()
        seen, unseen = np.flatnonzero(labels < 5), np.flatnonzero(labels >= 5)
        rest, held_out = hold_out(labels[seen], self.held_out, self.validation, self.split_seed)
        train, val = seen[rest], seen[held_out]
        self.train = ClutteredDigits(digits, labels, train, self.seed)
        self.val = ClutteredDigits(digits, labels, val, self.split_seed)
        self.test = ClutteredDigits(digits, labels, unseen, self.split_seed)
        self.split_hash = split_hash(train, val, unseen)
        rows = RowLabels(self.train.labels, classes=self.train.labels.numpy())
        self.train_sampler = self.batches.sampler(rows, self.seed)
