"""What data sets that nobody trains on share: training comes from another data module."""

from typing import Any

from torch.utils.data import DataLoader, Dataset

from ranklight.datamodules.batch import Batch
from ranklight.datamodules.image_file_data import ImageFileData
from ranklight.datamodules.split_data import Loaders, SplitData


class EvaluationData(ImageFileData):
    """Images for evaluation alone, tested after a training on others.

    Either a run of `ranklight test` brings a checkpoint that was trained on other data, and there
    is no training here; or `training` is the data module that training, and validation where this
    one has none, are taken from, and one recipe trains and tests. A subclass has `evaluation`.

    Args:
        training: What is trained on. Its batches are drawn by the `seed` given here; what is seen
            of its pictures, it says itself.
        **options: Of `ImageFileData`: what is seen of pictures, seeds and loaders.

    Attributes:
        class_names: Those of `training`.
        split_hash: That of `training`.

    Raises:
        ValueError: `split_seed` or `train_transforms`, which are for `training` to have, or a
            `seed` of `training`.
    """

    def __init__(self, training: SplitData | None = None, **options: Any) -> None:
        super().__init__(**options)
        for key in ("split_seed", "train_transforms"):
            if options.get(key):
                raise ValueError(
                    f"{key} of {type(self).__name__} changes nothing, for none of its own images "
                    f"is trained on: give it to the data that is (--data.training.{key})"
                )
        self.training = training
        if training is not None:
            if training.has_seed:
                raise ValueError(
                    f"seed of training changes nothing, for {type(self).__name__} gives it its "
                    "own: give it there (--data.init_args.seed), or to the run (--seed_everything)"
                )
            training.seed = self.seed

    def evaluation(self) -> None:
        """Read the annotations; set `test`, and `val` where there is one, to data sets."""
        raise NotImplementedError

    def setup(self, stage: str | None = None) -> None:
        """Set up the training data, then read the annotations and look for the images.

        Raises:
            FileNotFoundError: An annotation file or an image is missing.
            ValueError: Annotations that cannot be, or a training without training data.
        """
        name = type(self).__name__
        if self.training is None and stage in ("fit", "validate"):
            raise ValueError(
                f"{name} has no images to train on: give `training`, a data module that has "
                "(--data.training GLDv2, ImageFolder, ...), or test the checkpoint of another run"
            )
        self.class_names, self.split_hash = (), ""
        if self.training is not None:
            self.training.setup(stage)  # type: ignore[arg-type]
            self.train, self.val = self.training.train, self.training.val
            self.class_names = getattr(self.training, "class_names", ())
            self.split_hash = self.training.split_hash
            if stage in (None, "fit"):
                self.train_sampler = self.training.train_sampler
        self.evaluation()

    def train_dataloader(self) -> DataLoader[Batch]:
        """The batches of `training`."""
        assert self.training is not None
        return self.training.train_dataloader()

    def train_seen_alike(self) -> Dataset[Batch]:
        """The images of `training`, through its own transforms of evaluation."""
        assert self.training is not None
        return self.training.train_seen_alike()

    def val_dataloader(self) -> Loaders:
        """Validation, which is that of `training` where there is none here."""
        if self.training is not None and self.val is self.training.val:
            return self.training.val_dataloader()
        return super().val_dataloader()
