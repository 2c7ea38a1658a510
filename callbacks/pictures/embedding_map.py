"""The embeddings, laid out on a page."""

import warnings
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from ranklight.callbacks.evaluation.scores_file import class_names_of
from ranklight.callbacks.pictures import figures
from ranklight.callbacks.pictures.gallery import last_retrieved


class EmbeddingMap(Callback):
    """Draws the embeddings in two dimensions by t-SNE (van der Maaten, Hinton 2008), by class.

    Shows what `RetrievalEvaluation`, which must be among the callbacks, evaluated last. One thread
    and a fixed start: the same embeddings give the same picture.

    Of more than `classes` classes all images of a few are drawn, evenly spread among the classes.

    Args:
        points: At most so many images, evenly spread.
        classes: At most so many classes, each with a colour and its name; at most 20.
        perplexity: t-SNE's number of effective neighbours; larger shows coarser structure.
        every_n_epochs: Also draw after every so many validated epochs; None: at test only.
    """

    def __init__(
        self,
        points: int = 1000,
        perplexity: float = 30.0,
        every_n_epochs: int | None = None,
        classes: int = 10,
    ) -> None:
        if not 1 <= classes <= 20:
            raise ValueError(f"a map has colours for 1 to 20 classes, not for {classes}")
        self.classes = classes
        self.points = points
        self.perplexity = perplexity
        self.every_n_epochs = every_n_epochs

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the validation images, if asked to."""
        due = self.every_n_epochs and (trainer.current_epoch + 1) % self.every_n_epochs == 0
        if due and not trainer.sanity_checking:
            self._draw(trainer, f"map-epoch-{trainer.current_epoch:04d}")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the test images."""
        self._draw(trainer, "map")

    def _draw(self, trainer: Trainer, name: str) -> None:
        last = last_retrieved(trainer)
        if last is None or last.shards.size < 4:
            return
        device = trainer.strategy.root_device
        of_all = last.shards.all_gather(last.labels.to(device)).cpu()
        rows = _rows_of_few_classes(of_all, self.classes)
        shown = rows[torch.linspace(0, len(rows) - 1, min(self.points, len(rows))).long()]
        embeddings = last.shards.take(last.embeddings.to(device), shown.to(device)).cpu()
        if trainer.is_global_zero:
            names = class_names_of(trainer)
            figures.save(self._figure(embeddings, of_all[shown], names), name, trainer)

    def _figure(self, embeddings: Tensor, labels: Tensor, names: list[str]) -> Any:
        from matplotlib import colormaps

        points = self._layout(embeddings)
        figure = figures.new_figure(7.0 if labels.ndim == 1 else 5.5, 5.0)
        axes = figure.add_subplot()
        if labels.ndim == 1 and not labels.is_floating_point():
            palette = "tab10" if self.classes <= 10 else "tab20"
            for place, label in enumerate(torch.unique(labels).tolist()):
                of_class = points[labels == label]
                name = names[label] if names else f"class {label}"
                colour = colormaps[palette](place)
                axes.scatter(of_class[:, 0], of_class[:, 1], color=colour, s=8, label=name)
            axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
        else:
            values = labels.flatten(1).float().argmax(1) if labels.ndim > 1 else labels
            axes.scatter(points[:, 0], points[:, 1], c=values, s=8)
        axes.set(xticks=[], yticks=[], title="embeddings (t-SNE)")
        return figure

    def _layout(self, embeddings: Tensor) -> Tensor:
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits

        perplexity = min(self.perplexity, (len(embeddings) - 1) / 3)
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            layout = TSNE(init="pca", perplexity=perplexity, random_state=0)
            return torch.as_tensor(layout.fit_transform(embeddings.float().numpy()))


def _rows_of_few_classes(labels: Tensor, classes: int) -> Tensor:
    """All rows of at most so many classes, spread evenly; every row where labels are no classes."""
    if labels.ndim > 1 or labels.is_floating_point():
        return torch.arange(len(labels))
    present = torch.unique(labels)
    chosen = present[torch.linspace(0, len(present) - 1, min(classes, len(present))).long()]
    return torch.isin(labels, chosen).nonzero().squeeze(1)
