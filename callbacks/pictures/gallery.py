"""What the model finds for a few queries."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from ranklight.callbacks.evaluation.retrieval import RetrievalEvaluation
from ranklight.callbacks.evaluation.scores_file import class_names_of, dataset_of, files_of
from ranklight.callbacks.pictures import figures
from ranklight.pairs import SameClass
from ranklight.search import Embedded, neighbour_lists

_RIGHT, _WRONG = "tab:green", "tab:red"
_LONGEST = 20


class Gallery(Callback):
    """Draws queries beside their nearest neighbours: relevant ones framed green, others red.

    Pictures are shown as they were before they were normalised, with the names of class and file.
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
        if trainer.is_global_zero:
            dataset = dataset_of(loader, 0)
            names = _Names(labels, ids, class_names_of(trainer), dataset)
            relevance = relevance_of(pl_module)
            related = [
                relevance(labels[query : query + 1], labels[those])[0] > 0
                for query, those in zip(queries, found, strict=True)
            ]
            figure = _figure(queries, found, related, lambda row: _image(dataset, ids[row]), names)
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


class _Names:
    """What stands beside a picture: its class and its file, as far as they are known."""

    def __init__(self, labels: Tensor, ids: Tensor, classes: list[str], dataset: Any) -> None:
        self.labels = labels
        self.ids = ids
        self.classes = classes
        self.dataset = dataset

    def __call__(self, row: Tensor) -> str:
        lines = []
        if self.labels.ndim == 1 and not self.labels.is_floating_point():
            label = int(self.labels[row])
            lines.append(self.classes[label] if self.classes else f"class {label}")
        files = files_of(self.dataset, self.ids[row][None])
        lines.append(Path(files[0]).name if files else f"image {int(self.ids[row])}")
        return "\n".join(line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…" for line in lines)


def _figure(
    queries: Tensor,
    found: Tensor,
    related: list[Tensor],
    image: Callable[[Tensor], Tensor],
    names: Callable[[Tensor], str],
) -> Any:
    """One line a query: the query, then its neighbours, each above its names."""
    figure = figures.new_figure(found.shape[1] + 1.4, 1.35 * len(queries))
    grid = figure.subplots(len(queries), found.shape[1] + 1, squeeze=False)
    for axes, query, neighbours, right in zip(grid, queries, found, related, strict=True):
        _show(axes[0], image(query), None, names(query))
        for cell, neighbour, is_right in zip(axes[1:], neighbours, right, strict=True):
            _show(cell, image(neighbour), _RIGHT if is_right else _WRONG, names(neighbour))
    grid[0, 0].set_title("query", fontsize=9)
    grid[0, 1].set_title("nearest first →", fontsize=9, loc="left")
    return figure


def _image(dataset: Any, image_id: Tensor) -> Tensor:
    """An image as it was before the data set's transform normalised it, 0..1."""
    row = int((dataset.indices == image_id).nonzero()[0])
    image: Tensor = dataset.__getitems__([row]).images[0]
    if image.dtype == torch.uint8:
        return image.float() / 255
    image = image.float()
    for step in reversed(getattr(getattr(dataset, "transform", None), "transforms", [])):
        if type(step).__name__ == "Normalize":
            mean, std = (torch.as_tensor(of).view(-1, 1, 1) for of in (step.mean, step.std))
            image = image * std + mean
    return image.clamp(0, 1)


def _show(axes: Any, image: Tensor, frame: str | None, names: str) -> None:
    grey = image.shape[0] == 1
    shown = image[0] if grey else image.permute(1, 2, 0)
    # Fixed limits: matplotlib would stretch a grey image from its darkest to its lightest pixel.
    axes.imshow(shown, cmap="gray" if grey else None, vmin=0, vmax=1)
    axes.set_xlabel(names, fontsize=5)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(frame is not None)
        spine.set(color=frame, linewidth=3)
