"""Hard negatives of the whole training set, for batches that are drawn by them."""

from collections.abc import Iterator
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor

from ranklight.datamodules import Batch, Mined, hardest_negatives
from ranklight.kernels.masked import at_least_float32
from ranklight.models.evaluation_mode import in_evaluation_mode
from ranklight.search import Embedded, shard


class MinedLists(Callback):
    """Makes the lists that the data module's sampler asks for; a module with embeddings brings it.

    Before the epochs that `Mining` names, all training images are embedded, each rank its share, as
    evaluation sees them and without gradients, and searched exactly. Checkpoints hold the lists, so
    that a run goes on with those that its epoch began with. Other batches cost nothing.
    """

    def __init__(self) -> None:
        self._lists: Tensor | None = None

    def state_dict(self) -> dict[str, Any]:
        """The lists, where there are some."""
        return {} if self._lists is None else {"lists": self._lists}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with these lists."""
        self._lists = state_dict["lists"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the lists of a checkpoint, for a run that goes on within an epoch."""
        sampler = _sampler(trainer)
        if isinstance(sampler, Mined) and self._lists is not None:
            sampler.take_lists(self._lists)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Make the lists, where it is time to."""
        sampler = _sampler(trainer)
        if isinstance(sampler, Mined) and sampler.mining.is_due(trainer.current_epoch):
            mining = sampler.mining
            rank_zero_info(
                f"mining: embedding the training images for epoch {trainer.current_epoch}"
            )
            images = _embedded(trainer, pl_module)
            lists = hardest_negatives(images, mining.negatives, mining.margin)
            self._lists = _in_order_of_the_split(trainer, lists).int().cpu()
            rank_zero_info(
                f"mining: the {mining.negatives} hardest negatives of {len(lists):,} images"
            )
            sampler.take_lists(self._lists)


def _sampler(trainer: Trainer) -> Any:
    data: Any = getattr(trainer, "datamodule", None)
    return getattr(data, "train_sampler", None)


@torch.no_grad()
def _embedded(trainer: Trainer, module: LightningModule) -> Embedded:
    """This rank's share of the training images."""
    parts = []
    with in_evaluation_mode(module), trainer.precision_plugin.forward_context():
        batches = trainer.datamodule.train_as_evaluated()  # type: ignore[attr-defined]
        for batch in _with_bar(batches, trainer.progress_bar_callback):
            here: Batch = trainer.strategy.batch_to_device(batch)
            embeddings = module.embed(here.images)  # type: ignore[operator]
            parts.append((at_least_float32(embeddings), here.labels, here.index))
    embeddings, labels, ids = (torch.cat(each) for each in zip(*parts, strict=True))
    rows, shards = shard(ids)
    return Embedded(embeddings[rows], labels[rows], ids[rows], shards)


def _with_bar(batches: Any, bar: Any) -> Iterator[Batch]:
    """The batches, counted on a line of their own where training has a bar of Rich."""
    progress = getattr(bar, "progress", None)
    if progress is None:
        yield from batches
        return
    task = progress.add_task("Mining hard negatives", total=len(batches))
    for batch in batches:
        yield batch
        progress.advance(task)
    progress.remove_task(task)


def _in_order_of_the_split(trainer: Trainer, lists: Tensor) -> Tensor:
    """Lists of images by ascending id, as lists of positions in the training split."""
    ids: Tensor = trainer.datamodule.train.indices  # type: ignore[attr-defined]
    position = ids.to(lists.device).argsort()
    moved = torch.where(lists < 0, lists, position[lists])
    ordered = torch.empty_like(lists)
    ordered[position] = moved
    return ordered
