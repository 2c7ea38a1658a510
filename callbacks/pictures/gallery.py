"""What the model finds for a few queries."""

from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from ranklight.callbacks.evaluation.embedded import Embedded
from ranklight.callbacks.evaluation.retrieval import RetrievalEvaluation
from ranklight.callbacks.pictures import figures
from ranklight.pairs import SameClass
from ranklight.search import ShardedSearch

_RIGHT, _WRONG = "tab:green", "tab:red"


class Gallery(Callback):
    """Draws queries beside their nearest neighbours: relevant ones framed green, others red.

    Shows what `RetrievalEvaluation`, which must be among the callbacks, evaluated last. Relevant is
    what the objective's relevance says (R > 0).

    Args:
        queries: Rows of the picture, spread evenly over the test images in label order.
        neighbours: Columns beside the query, nearest first.
        every_n_epochs: Also draw after every so many validated epochs; None: at test only.
    """

    def __init__(
        self, queries: int = 8, neighbours: int = 8, every_n_epochs: int | None = None
    ) -> None:
        self.queries = queries
        self.neighbours = neighbours
        self.every_n_epochs = every_n_epochs

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the validation images, if asked to."""
        due = self.every_n_epochs and (trainer.current_epoch + 1) % self.every_n_epochs == 0
        if due and not trainer.sanity_checking:
            name = f"gallery-epoch-{trainer.current_epoch:04d}"
            self._draw(trainer, pl_module, trainer.val_dataloaders, name)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the test images."""
        self._draw(trainer, pl_module, trainer.test_dataloaders, "gallery")

    def _draw(self, trainer: Trainer, pl_module: LightningModule, loader: Any, name: str) -> None:
        last = last_retrieved(trainer)
        if last is None:
            return
        device = trainer.strategy.root_device
        labels, index = (last.shards.whole(rows.to(device)).cpu() for rows in last[1:3])
        chosen = _spread(labels, self.queries)
        found = self._found(last, chosen, device)
        if not trainer.is_global_zero:
            return
        relevance = relevance_of(pl_module)
        dataset = (loader[0] if isinstance(loader, list) else loader).dataset
        figure = Figure(figsize=(found.shape[1] + 1.4, len(chosen)), layout="constrained")
        grid = figure.subplots(len(chosen), found.shape[1] + 1, squeeze=False)
        for axes, query, neighbours in zip(grid, chosen, found, strict=True):
            related = relevance(labels[query : query + 1], labels[neighbours])[0] > 0
            _show(axes[0], _image(dataset, index[query]), None)
            for place, neighbour, right in zip(axes[1:], neighbours, related, strict=True):
                _show(place, _image(dataset, index[neighbour]), _RIGHT if right else _WRONG)
        grid[0, 0].set_title("query", fontsize=9)
        grid[0, 1].set_title("nearest first →", fontsize=9, loc="left")
        figures.save(figure, name, trainer)

    def _found(self, last: Embedded, chosen: Tensor, device: torch.device) -> Tensor:
        """Places of the neighbours; rank 0 asks, the others search their share."""
        k = min(self.neighbours, last.shards.size - 1)
        embeddings = last.embeddings.to(device)
        search = ShardedSearch(embeddings, last.shards, k)
        chosen = chosen.to(device)
        queries = last.shards.pick(embeddings, chosen)
        asked = [(queries, k, chosen)] if last.shards.rank == 0 else []
        return torch.cat([chosen.new_empty(0, k), *search.lists(asked)]).cpu()


def last_retrieved(trainer: Trainer) -> Embedded | None:
    """What the trainer's `RetrievalEvaluation` evaluated last."""
    evaluations = [
        callback
        for callback in getattr(trainer, "callbacks", [])
        if isinstance(callback, RetrievalEvaluation)
    ]
    return evaluations[0].last if evaluations else None


def relevance_of(pl_module: LightningModule) -> Any:
    """The relevance that the module was trained for; same class where it has none."""
    return getattr(getattr(pl_module, "objective", None), "relevance", None) or SameClass()


def _spread(labels: Tensor, count: int) -> Tensor:
    if labels.ndim > 1 or labels.is_floating_point():
        order = torch.arange(len(labels))
    else:
        order = labels.argsort(stable=True)
    count = min(count, len(labels))
    return order[(torch.arange(count) * 2 + 1) * len(labels) // (2 * count)]


def _image(dataset: Any, index: Tensor) -> Tensor:
    place = int((dataset.indices == index).nonzero()[0])
    image: Tensor = dataset.__getitems__([place]).images[0].float()
    low, high = image.amin(), image.amax()
    return (image - low) / (high - low).clamp(min=1e-6)


def _show(axes: Axes, image: Tensor, frame: str | None) -> None:
    grey = image.shape[0] == 1
    axes.imshow(image[0] if grey else image.permute(1, 2, 0), cmap="gray" if grey else None)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(frame is not None)
        spine.set(color=frame, linewidth=3)
