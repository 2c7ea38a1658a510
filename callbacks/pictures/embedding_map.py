"""The embeddings, laid out on a page."""

import warnings
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Shaped
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from ranklight.callbacks.evaluation.embedding_evaluation import Stage, evaluation_of
from ranklight.callbacks.evaluation.scores_file import class_names_of
from ranklight.callbacks.pictures import figures
from ranklight.callbacks.pictures.picture import Picture
from ranklight.kernels.checks import check_positive

_LEAST = 4


class EmbeddingMap(Picture):
    """Draws the embeddings in two dimensions by t-SNE (van der Maaten, Hinton 2008), by label.

    Shows what the evaluation of embeddings among the callbacks (`RetrievalEvaluation`,
    `LabelRanking`, `TripletPrecision`) evaluated last; of loaders [queries, gallery] the gallery.
    One thread and a fixed start: the same embeddings give the same picture.

    Each class has a colour and its name. Of more than `classes` classes all images of a few are
    drawn, evenly spread among the classes. Of labels that are numbers one is the colour, beside a
    bar of its values; of multi-hot labels it is which images have it.

    Args:
        points: At most so many images, evenly spread.
        classes: At most so many classes; at most 20.
        perplexity: t-SNE's number of effective neighbours; larger shows coarser structure.
        every_n_epochs: In training, draw after every so many validated epochs; None: never.
        column: Which of several numbers or labels of an image is the colour, from 0.

    Raises:
        ValueError: `classes` is not 1 to 20, `points` is under 4, `column` is under 0; or no
            evaluation of embeddings is among the callbacks.
    """

    name = "map"

    def __init__(
        self,
        points: int = 1000,
        perplexity: float = 30.0,
        every_n_epochs: int | None = None,
        classes: int = 10,
        column: int = 0,
    ) -> None:
        super().__init__(every_n_epochs)
        if not 1 <= classes <= 20:
            raise ValueError(f"a map has colours for 1 to 20 classes, not for {classes}")
        if points < _LEAST or column < 0:
            raise ValueError(
                f"a map has {_LEAST} or more points and a column from 0 on, not {points} and "
                f"{column}"
            )
        check_positive(perplexity=perplexity)
        self.classes = classes
        self.points = points
        self.perplexity = perplexity
        self.column = column

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse to draw where nothing is embedded."""
        if evaluation_of(trainer) is None:
            raise ValueError(
                "EmbeddingMap needs an evaluation of embeddings among the callbacks, for example "
                "RetrievalEvaluation; modules that score labels have none: drop the map"
            )

    def figure(self, trainer: Trainer, pl_module: LightningModule, stage: Stage) -> Any:
        """The map of what was evaluated last; collective."""
        evaluation = evaluation_of(trainer)
        assert evaluation is not None, "setup has looked"
        last = evaluation.last if evaluation.last_gallery is None else evaluation.last_gallery
        if last is None or last.shards.size < _LEAST:
            rank_zero_warn(f"there is no map: it needs {_LEAST} or more images")
            return None
        device = trainer.strategy.root_device
        of_all = last.shards.all_gather(last.labels.to(device)).cpu()
        rows = _rows_of_few_classes(of_all, self.classes)
        shown = rows[torch.linspace(0, len(rows) - 1, min(self.points, len(rows))).long()]
        embeddings = last.shards.take(last.embeddings.to(device), shown.to(device)).cpu()
        if not trainer.is_global_zero:
            return None
        return self._figure(embeddings, of_all[shown], class_names_of(trainer))

    def _figure(
        self,
        embeddings: Float[Tensor, "n d"],
        labels: Shaped[Tensor, "n ..."],
        names: Sequence[str],
    ) -> Any:
        points = self._layout(embeddings)
        figure = figures.new_figure(7.0, 5.0)
        axes = figure.add_subplot()
        axes.set(xticks=[], yticks=[], title="embeddings (t-SNE)")
        if _are_classes(labels):
            groups = [
                (names[label] if label < len(names) else f"class {label}", labels == label)
                for label in torch.unique(labels).tolist()
            ]
            _draw_groups(axes, points, groups, "tab10" if self.classes <= 10 else "tab20")
            return figure
        values, name = self._colour(labels, names)
        if labels.ndim > 1 and torch.isin(labels, torch.tensor([-1, 0, 1]).to(labels)).all():
            has = [(name, values > 0), (f"not {name}", values == 0), ("unknown", values < 0)]
            _draw_groups(axes, points, has, "tab10")
        else:
            dots = axes.scatter(points[:, 0], points[:, 1], c=values, s=8, cmap="viridis")
            figure.colorbar(dots, ax=axes).set_label(name, parse_math=False)
        return figure

    def _colour(
        self, labels: Shaped[Tensor, "n ..."], names: Sequence[str]
    ) -> tuple[Shaped[Tensor, "n"], str]:
        """The number of each image that is its colour, and what it is called."""
        columns = labels.reshape(len(labels), -1)
        if self.column >= columns.shape[1]:
            raise ValueError(
                f"the map's column {self.column} is none of the {columns.shape[1]} of the labels, "
                "counted from 0"
            )
        if len(names) == columns.shape[1]:
            name = names[self.column]
        else:
            name = "label" if columns.shape[1] == 1 else f"label column {self.column}"
        return columns[:, self.column], name

    def _layout(self, embeddings: Float[Tensor, "n d"]) -> Float[Tensor, "n 2"]:
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits

        perplexity = min(self.perplexity, (len(embeddings) - 1) / 3)
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            layout = TSNE(init="pca", perplexity=perplexity, random_state=0)
            # A map starts from two dimensions; a column of zeros changes no distance.
            rows = F.pad(embeddings.float(), (0, max(0, 2 - embeddings.shape[1])))
            return torch.as_tensor(layout.fit_transform(rows.numpy()))


def _draw_groups(
    axes: Any, points: Float[Tensor, "n 2"], groups: list[tuple[str, Tensor]], palette: str
) -> None:
    """Each group that has images in a colour of its own, and a legend of their names."""
    from matplotlib import colormaps

    there = [(name, rows) for name, rows in groups if rows.any()]
    for place, (_, rows) in enumerate(there):
        dots, colour = points[rows], colormaps[palette](place)
        axes.scatter(dots[:, 0], dots[:, 1], color=colour, s=8, label=str(place))
    legend = axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    # Afterwards: a label that begins with _ is left out, and $ begins mathematics.
    for text, (name, _) in zip(legend.get_texts(), there, strict=True):
        text.set(text=name, parse_math=False)


def _are_classes(labels: Tensor) -> bool:
    return labels.ndim == 1 and not labels.is_floating_point()


def _rows_of_few_classes(labels: Shaped[Tensor, "n ..."], classes: int) -> Int[Tensor, "r"]:
    """All rows of at most so many classes, spread evenly; every row where labels are no classes."""
    if not _are_classes(labels):
        return torch.arange(len(labels))
    present = torch.unique(labels)
    chosen = present[torch.linspace(0, len(present) - 1, min(classes, len(present))).long()]
    return torch.isin(labels, chosen).nonzero().squeeze(1)
