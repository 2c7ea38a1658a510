"""Small data of every label world whose pictures can be told apart, and figures read back."""

from typing import Any, NamedTuple
from unittest.mock import patch

import pytorch_lightning as pl
import torch
from matplotlib.colors import to_hex
from torch.utils.data import Dataset

from ranklight.callbacks.pictures import figures
from ranklight.datamodules import Batch, evaluation_loader


class Greys(Dataset):
    """Pictures of 4 rows and 6 columns of one grey each, and the files they could be from."""

    def __init__(self, greys, labels, first=0):
        self.greys = torch.tensor(greys, dtype=torch.uint8)
        self.labels = torch.as_tensor(labels)
        self.indices = first + torch.arange(len(greys))
        self.files = [f"folder/grey-{grey}.png" for grey in greys]

    def __len__(self):
        return len(self.greys)

    def __getitems__(self, rows):
        images = self.greys[rows].view(-1, 1, 1, 1).expand(-1, 3, 4, 6)
        return Batch(images, self.labels[rows], self.indices[rows])


class Data(pl.LightningDataModule):
    """One data set, or [queries, gallery], for validation and test alike."""

    allow_zero_length_dataloader_with_multiple_devices = True

    def __init__(self, *sides, class_names=(), triplets=None):
        super().__init__()
        self.sides = sides
        self.class_names = class_names
        if triplets is not None:
            self.triplets = lambda stage: triplets

    def train_dataloader(self):
        return evaluation_loader(self.sides[0], 2)

    def val_dataloader(self):
        loaders = [evaluation_loader(side, 2) for side in self.sides]
        return loaders if len(loaders) > 1 else loaders[0]

    test_dataloader = val_dataloader


class ByGrey(pl.LightningModule):
    """Embeds a picture as its grey, and says what else it is told to of each index."""

    def __init__(self, objective=None, says=None, **also):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.objective = objective
        self.says = says or {}
        self.decisions = also

    def training_step(self, batch, batch_idx):
        return self.weight.square()

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        embeddings = batch.images.float().mean((1, 2, 3))[:, None] / 255
        return {"embeddings": embeddings, **self.said(batch, self.says)}

    def test_step(self, batch, batch_idx, dataloader_idx=0):
        rules = {f"decision/{name}": of for name, of in self.decisions.items()}
        return {**self.validation_step(batch, batch_idx), **self.said(batch, rules)}

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

    @staticmethod
    def said(batch, tables):
        return {name: table[batch.index.long()] for name, table in tables.items()}


def trainer(folder, *callbacks, **settings):
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    return pl.Trainer(
        default_root_dir=folder,
        callbacks=list(callbacks),
        accelerator="cpu",
        enable_checkpointing=False,
        use_distributed_sampler=False,
        **{**quiet, **settings},
    )


def drawn(run, stage, model, data):
    """File and figure of every picture that a stage draws."""
    pictures = {}

    def keep(figure, name, trainer, file=None):
        pictures[file or name] = figure

    with patch.object(figures, "save", keep):
        options = {} if stage == "fit" else {"verbose": False}
        getattr(run, stage)(model, datamodule=data, **options)
    return pictures


class Cell(NamedTuple):
    """What is seen in one cell of a sheet; colours as #rrggbb."""

    grey: int
    words: list[str]
    colours: list[str]
    frame: str | None


def cells(figure) -> list[list[Cell]]:
    """The pictures of a figure, row by row."""
    rows: dict[int, list[Cell]] = {}
    for axes in figure.axes:
        if axes.images:
            place = axes.get_subplotspec()
            rows.setdefault(place.rowspan.start, []).append(_cell(axes))
    return [rows[number] for number in sorted(rows)]


def _cell(axes: Any) -> Cell:
    shown = axes.images[0].get_array()
    assert shown.shape == (4, 6, 3)
    assert axes.get_aspect() == 1
    assert shown.min() == shown.max()
    spine = axes.spines["left"]
    return Cell(
        round(255 * float(shown.max())),
        [text.get_text() for text in axes.texts],
        [to_hex(text.get_color()) for text in axes.texts],
        to_hex(spine.get_edgecolor()) if spine.get_visible() else None,
    )
