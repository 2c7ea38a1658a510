"""What data modules with a train, a val and a test part have in common: their loaders."""

from collections.abc import Sequence
from typing import Any

from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader, Dataset

from ranklight.datamodules.batch import Batch
from ranklight.datamodules.loaders import TrainLoader, evaluation_loader, refuse_other_split
from ranklight.datamodules.samplers import Resumable

Part = Dataset[Batch] | Sequence[Dataset[Batch]]
Loaders = DataLoader[Batch] | list[DataLoader[Batch]]


class SplitData(LightningDataModule):
    """Loaders of three parts, and the memory of how they were split.

    A subclass has `setup`, which sets what is annotated here; its constructor reads nothing.
    Training goes on with the split of its checkpoint only; testing another one is allowed.

    Attributes:
        train: The training part.
        val: The part that models are selected on; [queries, gallery] where these are apart.
        test: The part that is looked at in the end, likewise.
        train_sampler: Draws the training batches.
        split_hash: Names which image is in which part.
        eval_batch_size: Images in a batch of validation and test.
        num_workers: Processes that prepare batches.
        pin_memory: Put batches in page-locked memory, for faster copies to a GPU.
    """

    train: Dataset[Batch]
    val: Part
    test: Part
    train_sampler: Resumable
    split_hash: str
    eval_batch_size: int
    num_workers: int
    pin_memory: bool

    def __init__(self) -> None:
        super().__init__()
        self.allow_zero_length_dataloader_with_multiple_devices = True

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches as the sampler draws them."""
        return TrainLoader(self.train, self.train_sampler, self.num_workers, self.pin_memory)

    def val_dataloader(self) -> Loaders:
        """This rank's shard of the validation part; of queries and of gallery where it has both."""
        return self._evaluation(self.val)

    def test_dataloader(self) -> Loaders:
        """This rank's shard of the test part, as of validation."""
        return self._evaluation(self.test)

    def predict_dataloader(self) -> Loaders:
        """What the test loaders yield."""
        return self._evaluation(self.test)

    def state_dict(self) -> dict[str, Any]:
        """Which images are in which part."""
        return {"split_hash": self.split_hash}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Refuse to go on training on another split."""
        refuse_other_split(self, state_dict["split_hash"], self.split_hash)

    def _evaluation(self, part: Part) -> Loaders:
        if isinstance(part, Sequence):
            return [self._loader(each) for each in part]
        return self._loader(part)

    def _loader(self, part: Dataset[Batch]) -> DataLoader[Batch]:
        return evaluation_loader(part, self.eval_batch_size, self.num_workers, self.pin_memory)
