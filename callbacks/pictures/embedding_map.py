"""The embeddings, laid out on a page."""

import warnings
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from ranklight.callbacks.pictures import figures
from ranklight.callbacks.pictures.gallery import last_retrieved


class EmbeddingMap(Callback):
    """Draws the embeddings in two dimensions by t-SNE (van der Maaten, Hinton 2008), by class.

    Shows what `RetrievalEvaluation`, which must be among the callbacks, evaluated last. One thread
    and a fixed start: the same embeddings give the same picture.

    Args:
        points: At most so many images, evenly spread.
        perplexity: t-SNE's number of effective neighbours; larger shows coarser structure.
        every_n_epochs: Also draw after every so many validated epochs; None: at test only.
    """

    def __init__(
        self, points: int = 1000, perplexity: float = 30.0, every_n_epochs: int | None = None
    ) -> None:
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
        device, size = trainer.strategy.root_device, last.shards.size
        shown = torch.linspace(0, size - 1, min(self.points, size), device=device).long()
        embeddings, labels = (
            last.shards.take(rows.to(device), shown).cpu()
            for rows in (last.embeddings, last.labels)
        )
        if trainer.is_global_zero:
            figures.save(self._figure(embeddings, labels), name, trainer)

    def _figure(self, embeddings: Tensor, labels: Tensor) -> Any:
        points = self._layout(embeddings)
        classes = labels if labels.ndim == 1 else labels.flatten(1).float().argmax(1)
        figure = figures.new_figure(5.5, 5.0)
        axes = figure.add_subplot()
        dots = axes.scatter(points[:, 0], points[:, 1], c=classes, cmap="tab10", s=8)
        if labels.ndim == 1 and len(torch.unique(labels)) <= 10:
            axes.legend(*dots.legend_elements(), title="class", fontsize=8, loc="best")
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
