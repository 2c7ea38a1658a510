"""What the model finds for a few queries."""

from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from ranklight.callbacks.evaluation.retrieval import RetrievalEvaluation
from ranklight.callbacks.pictures import figures
from ranklight.pairs import SameClass
from ranklight.search import Embedded, neighbour_lists

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
        embedded = last.to(trainer.strategy.root_device)
        labels, ids = (
            embedded.shards.all_gather(rows).cpu() for rows in (embedded.labels, embedded.ids)
        )
        queries = _spread(labels, self.queries)
        found = self._neighbours(embedded, queries)
        if not trainer.is_global_zero:
            return
        relevance = relevance_of(pl_module)
        dataset = (loader[0] if isinstance(loader, list) else loader).dataset
        figure = figures.new_figure(found.shape[1] + 1.4, float(len(queries)))
        grid = figure.subplots(len(queries), found.shape[1] + 1, squeeze=False)
        for axes, query, neighbours in zip(grid, queries, found, strict=True):
            related = relevance(labels[query : query + 1], labels[neighbours])[0] > 0
            _show(axes[0], _image(dataset, ids[query]), None)
            for cell, neighbour, right in zip(axes[1:], neighbours, related, strict=True):
                _show(cell, _image(dataset, ids[neighbour]), _RIGHT if right else _WRONG)
        grid[0, 0].set_title("query", fontsize=9)
        grid[0, 1].set_title("nearest first →", fontsize=9, loc="left")
        figures.save(figure, name, trainer)

    def _neighbours(self, embedded: Embedded, queries: Tensor) -> Tensor:
        """Positions of the nearest of some rows; each rank asks for its own, all get all."""
        k = min(self.neighbours, embedded.shards.size - 1)
        own = embedded.shards.global_to_local(queries.to(embedded.ids.device))
        counts = torch.zeros_like(embedded.ids)
        counts[own[own >= 0]] = k
        lists = torch.full((len(counts), k), -1, device=counts.device)
        for row, found in neighbour_lists(embedded, None, counts):
            lists[row] = found
        return embedded.shards.take(lists, queries.to(lists.device)).cpu()


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


def _image(dataset: Any, image_id: Tensor) -> Tensor:
    row = int((dataset.indices == image_id).nonzero()[0])
    image: Tensor = dataset.__getitems__([row]).images[0].float()
    low, high = image.amin(), image.amax()
    return (image - low) / (high - low).clamp(min=1e-6)


def _show(axes: Any, image: Tensor, frame: str | None) -> None:
    grey = image.shape[0] == 1
    axes.imshow(image[0] if grey else image.permute(1, 2, 0), cmap="gray" if grey else None)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(frame is not None)
        spine.set(color=frame, linewidth=3)
