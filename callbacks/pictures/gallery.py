"""What the model finds for a few queries, or says of a few images."""

from collections.abc import Mapping
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from ranklight.callbacks.evaluation.embedding_evaluation import (
    EmbeddingEvaluation,
    Stage,
    evaluation_of,
)
from ranklight.callbacks.evaluation.scores_file import class_names_of, dataset_of, loaders_of
from ranklight.callbacks.pictures.captions import Captions
from ranklight.callbacks.pictures.dataset_pictures import check_has_pictures
from ranklight.callbacks.pictures.gallery_table import log_gallery
from ranklight.callbacks.pictures.label_sheet import LabelledImages, label_sheet
from ranklight.callbacks.pictures.neighbour_sheet import find, neighbour_sheet
from ranklight.callbacks.pictures.picture import Picture
from ranklight.datamodules import Batch
from ranklight.kernels.distributed import all_gather_object
from ranklight.search import Embedded


class Gallery(Picture):
    """Draws queries beside their nearest neighbours, with the names of class and file.

    Shows what the evaluation of embeddings among the callbacks (`RetrievalEvaluation`,
    `LabelRanking`, `TripletPrecision`) evaluated last; of loaders [queries, gallery] the neighbours
    are images of the gallery. Relevant neighbours are framed green, others red, by the objective's
    relevance R > 0; graded relevance is a shade of green; under `LabelRanking` how far the labels
    are from the query's stands beneath. Where the module classifies too, the query is framed green
    or red as its class is predicted.

    Without embeddings, for modules that score labels (`MultiLabelClassification`): a picture an
    image, above its labels in green, those that were missed in orange and false ones in red.

    Args:
        queries: Rows of the picture, spread evenly over the images in label order. Without
            embeddings that many rows of eight images, each drawn by its index.
        neighbours: Columns beside the query, nearest first.
        every_n_epochs: In training, draw after every so many validated epochs; None: never.
        rule: Of the module's decision rules that which says the labels in tests; by default the
            last. In validation, or without rules, it is the labels that score highest, as many as
            the image has.

    Raises:
        ValueError: A number is under 1, there is no such rule; or, at the first batch, nothing that
            could be shown.
    """

    name = "gallery"

    def __init__(
        self,
        queries: int = 8,
        neighbours: int = 8,
        every_n_epochs: int | None = None,
        rule: str | None = None,
    ) -> None:
        super().__init__(every_n_epochs)
        if queries < 1 or neighbours < 1:
            raise ValueError(
                f"a gallery has 1 or more queries and neighbours, not {queries} and {neighbours}"
            )
        self.queries = queries
        self.neighbours = neighbours
        self.rule = rule
        self._forget()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a rule that the module does not have."""
        rules = list(getattr(pl_module, "decisions", ()))
        if self.rule is not None and self.rule not in rules:
            raise ValueError(
                f"the gallery's rule {self.rule!r} is none of the module's decision rules: "
                f"{', '.join(rules) or 'it has none'}"
            )

    def figure(self, trainer: Trainer, pl_module: LightningModule, stage: Stage) -> Any:
        """Neighbours of queries, or images with their labels; collective."""
        evaluation = evaluation_of(trainer)
        if evaluation is None:
            return self._labels(trainer, stage)
        if evaluation.last is None:
            return None
        return self._found(trainer, pl_module, stage, evaluation)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget what an interrupted epoch said."""
        self._forget()

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget what an interrupted epoch said."""
        self._forget()

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep what is said of a batch."""
        self._add(trainer, "val", outputs, batch, dataloader_idx)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep what is said of a batch."""
        self._add(trainer, "test", outputs, batch, dataloader_idx)

    def _forget(self) -> None:
        self._labelled = LabelledImages(8 * self.queries, self.rule)
        self._predicted: list[tuple[Tensor, Tensor]] = []

    def _add(self, trainer: Trainer, stage: Stage, outputs: Any, batch: Batch, loader: int) -> None:
        check_has_pictures(dataset_of(loaders_of(trainer, stage), loader))
        said = outputs if isinstance(outputs, Mapping) else {}
        embedded = evaluation_of(trainer) is not None
        if not embedded and "scores" not in said:
            raise ValueError(
                "Gallery needs an evaluation of embeddings among the callbacks, for example "
                "RetrievalEvaluation, or a module whose validation and test steps return the "
                "`scores` of labels; add one, or drop the gallery"
            )
        if loader > 0 or not self.due(trainer):
            return
        if not embedded:
            self._labelled.add(said, batch)
        elif "predicted" in said:
            self._predicted.append((batch.index, said["predicted"]))

    def _found(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        stage: Stage,
        evaluation: EmbeddingEvaluation,
    ) -> Any:
        device = trainer.strategy.root_device
        found = find(evaluation, pl_module, self.queries, self.neighbours, device)
        sides = [rows for rows in (evaluation.last, evaluation.last_gallery) if rows is not None]
        captions = [
            self._captions(trainer, stage, number, rows) for number, rows in enumerate(sides)
        ]
        predicted = self._predicted_of(captions[0].ids[found.queries])
        if not trainer.is_global_zero:
            return None
        log_gallery(trainer.loggers, self.name, found, captions[0], captions[-1])
        return neighbour_sheet(found, captions[0], captions[-1], predicted)

    def _captions(self, trainer: Trainer, stage: Stage, loader: int, rows: Embedded) -> Captions:
        rows = rows.to(trainer.strategy.root_device)
        labels, ids = (rows.shards.all_gather(of).cpu() for of in (rows.labels, rows.ids))
        dataset = dataset_of(loaders_of(trainer, stage), loader)
        return Captions(labels, ids, class_names_of(trainer), dataset)

    def _predicted_of(self, ids: Tensor) -> dict[int, int]:
        """The class that was predicted of each of these images, from whichever rank has seen it."""
        own: dict[int, int] = {}
        for index, predicted in self._predicted:
            shown = torch.isin(index, ids.to(index.device))
            own |= dict(zip(index[shown].tolist(), predicted[shown].tolist(), strict=True))
        ranks = all_gather_object(own)
        return {image: label for rank in ranks for image, label in rank.items()}

    def _labels(self, trainer: Trainer, stage: Stage) -> Any:
        said = self._labelled.gather()
        if said is None or not trainer.is_global_zero:
            return None
        dataset = dataset_of(loaders_of(trainer, stage), 0)
        captions = Captions(said.labels, said.ids, class_names_of(trainer), dataset)
        return label_sheet(said, captions, self._labelled.predicted_by)
