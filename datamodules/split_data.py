"""What data modules with a train, a val and a test split have in common: seeds and loaders."""

from collections.abc import Sequence
from typing import Any

from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader, Dataset

from ranklight.datamodules.batch import Batch
from ranklight.datamodules.loaders import TrainLoader, evaluation_loader
from ranklight.datamodules.samplers import BatchSampler
from ranklight.datamodules.samplers.arguments import check_seed
from ranklight.datamodules.splits import check_same_split
from ranklight.kernels.checks import check_counts, whole

Split = Dataset[Batch] | Sequence[Dataset[Batch]]
Loaders = DataLoader[Batch] | list[DataLoader[Batch]]
_MOST_WORKERS = 1024


class SplitData(LightningDataModule):
    """Loaders of three splits, and the memory of how they were split.

    A subclass has `setup`, which sets what is annotated here; its constructor reads nothing.
    Training goes on with the split of its checkpoint only; testing another one is allowed.

    Args:
        split_seed: Of which image is in which split, and of all that validation and test draw.
        seed: Of the batches and of how training images are drawn. None is that of the command,
            `seed_everything`, or 0 without a command. Runs that differ in it alone are validated
            and tested on the same images.
        eval_batch_size: Images in a batch of validation and test; no result depends on it.
        num_workers: Processes that prepare batches.
        pin_memory: Put batches in page-locked memory, for faster copies to a GPU.

    Raises:
        TypeError: A number is not whole.
        ValueError: No images in a batch, a seed beyond 64 bits, or a number of processes that no
            machine runs.

    Attributes:
        train: The training split.
        val: The split that models are selected on; [queries, gallery] where these are apart.
        test: The split that is looked at in the end, likewise.
        train_sampler: Draws the training batches.
        split_hash: Names which image is in which split.
        class_names: The name of each class, where there are classes.
    """

    train: Dataset[Batch]
    val: Split
    test: Split
    train_sampler: BatchSampler
    split_hash: str
    class_names: Sequence[str]

    def __init__(
        self,
        split_seed: int = 0,
        seed: int | None = None,
        eval_batch_size: int = 128,
        num_workers: int = 4,
        pin_memory: bool = False,
    ) -> None:
        super().__init__()
        check_counts(eval_batch_size=eval_batch_size)
        check_seed(split_seed, "split_seed")
        check_seed(0 if seed is None else seed)
        if not 0 <= whole(num_workers, "num_workers") <= _MOST_WORKERS:
            raise ValueError(f"num_workers must be 0..{_MOST_WORKERS}; got {num_workers}")
        self.allow_zero_length_dataloader_with_multiple_devices = True
        self.split_seed = split_seed
        self.has_seed = seed is not None
        self.seed = seed or 0
        self.eval_batch_size = eval_batch_size
        self.num_workers = num_workers
        self.pin_memory = pin_memory

    @property
    def num_classes(self) -> int:
        """How many classes there are, after `setup`, where they have names."""
        return len(self.class_names)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches as the sampler draws them."""
        return TrainLoader(self.train, self.train_sampler, self.num_workers, self.pin_memory)

    def val_dataloader(self) -> Loaders:
        """This rank's shard of validation; of queries and of gallery where it has both."""
        return self._evaluation(self.val)

    def test_dataloader(self) -> Loaders:
        """This rank's shard of test, as of validation."""
        return self._evaluation(self.test)

    def predict_dataloader(self) -> Loaders:
        """What the test loaders yield."""
        return self._evaluation(self.test)

    def train_as_evaluated(self) -> DataLoader[Batch]:
        """This rank's shard of training, each image once and seen as in validation."""
        return self._loader(self.train_seen_alike())

    def train_seen_alike(self) -> Dataset[Batch]:
        """The training split without what changes from epoch to epoch."""
        return self.train

    def state_dict(self) -> dict[str, Any]:
        """Which images are in which split."""
        return {"split_hash": self.split_hash}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Refuse to go on training on another split."""
        check_same_split(self, state_dict["split_hash"], self.split_hash)

    def _evaluation(self, split: Split) -> Loaders:
        if isinstance(split, Sequence):
            return [self._loader(each) for each in split]
        return self._loader(split)

    def _loader(self, split: Dataset[Batch]) -> DataLoader[Batch]:
        return evaluation_loader(split, self.eval_batch_size, self.num_workers, self.pin_memory)
