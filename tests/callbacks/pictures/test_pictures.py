"""What is on the pictures, read from their axes."""

import csv

import pytest
import pytorch_lightning as pl
import torch
from matplotlib.colors import to_rgb
from torch.utils.data import DataLoader, Dataset

from ranklight.callbacks import EmbeddingMap, Gallery, RetrievalEvaluation, TrainingCurves
from ranklight.callbacks.pictures import figures
from ranklight.datamodules import Batch
from ranklight.running import MetricsFile

LABELS = [0, 0, 1, 1, 1, 0]
PLACES = [0.0, 1.0, 3.0, 6.0, 7.5, 12.0]
NEAREST = [[1, 2, 3], [0, 2, 3], [1, 0, 3], [4, 2, 1], [3, 2, 5], [4, 3, 2]]


class OnALine(Dataset):
    """Images whose first pixel is where they stand on a line, so each shows which one it is."""

    def __init__(self):
        self.labels = torch.tensor(LABELS)
        self.members = torch.arange(6)
        self.images = torch.zeros(6, 1, 2, 2)
        self.images[:, 0, 0, 0] = torch.tensor(PLACES)
        self.images[:, 0, 1, 1] = 20

    def __len__(self):
        return 6

    def __getitems__(self, rows):
        return Batch(self.images[rows], self.labels[rows], self.members[rows])


class FirstPixel(pl.LightningModule):
    def test_step(self, batch, batch_idx):
        return {"embeddings": batch.images[:, 0, 0]}


@pytest.fixture
def drawn(monkeypatch):
    """Figures by name, as they would be saved."""
    saved = {}
    monkeypatch.setattr(figures, "save", lambda figure, name, trainer: saved.update({name: figure}))
    return saved


def run_a_test(folder, *callbacks):
    trainer = pl.Trainer(
        accelerator="cpu",
        default_root_dir=folder,
        callbacks=[RetrievalEvaluation(clustering=False), *callbacks],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = DataLoader(OnALine(), batch_size=4, collate_fn=lambda batch: batch)
    trainer.test(FirstPixel(), loader, verbose=False)


def shown(axes):
    """Which image an axes shows."""
    pixels = axes.images[0].get_array()
    return PLACES.index(round(float(pixels[0, 0] * 20), 3))


def test_a_gallery_shows_neighbours_nearest_first_in_frames_that_say_if_they_are_right(
    tmp_path, drawn
):
    run_a_test(tmp_path, Gallery(queries=6, neighbours=3))
    axes = drawn["gallery"].axes
    rows = [axes[start : start + 4] for start in range(0, 24, 4)]
    assert sorted(shown(row[0]) for row in rows) == list(range(6))
    for query, *neighbours in rows:
        assert [shown(cell) for cell in neighbours] == NEAREST[shown(query)]
        assert not any(spine.get_visible() for spine in query.spines.values())
        for cell in neighbours:
            right = LABELS[shown(cell)] == LABELS[shown(query)]
            expected = to_rgb("tab:green" if right else "tab:red")
            assert all(spine.get_visible() for spine in cell.spines.values())
            assert {spine.get_edgecolor()[:3] for spine in cell.spines.values()} == {expected}
    assert axes[0].get_title() == "query"


def test_a_map_keeps_classes_apart_and_colours_them(tmp_path, drawn):
    run_a_test(tmp_path, EmbeddingMap(points=6, perplexity=1.5))
    (axes,) = drawn["map"].axes
    (dots,) = axes.collections
    assert dots.get_array().tolist() == LABELS
    assert dots.get_offsets().shape == (6, 2)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "$\\mathdefault{0}$",
        "$\\mathdefault{1}$",
    ]


def test_curves_are_what_was_logged(tmp_path, drawn):
    file = MetricsFile(tmp_path)
    with (tmp_path / "metrics.csv").open("w", newline="") as rows:
        writer = csv.writer(rows)
        writer.writerow(["step", "train/loss", "val/map@r", "lr"])
        writer.writerows([[1, 3.0, "", 0.1], [5, 2.0, 0.25, 0.1], [9, 1.5, 0.5, 0.1]])
    trainer = pl.Trainer(accelerator="cpu", default_root_dir=tmp_path, logger=file)
    TrainingCurves().on_fit_end(trainer, FirstPixel())
    curves = {
        axes.get_title(): axes.lines[0].get_xydata().tolist() for axes in drawn["curves"].axes
    }
    assert curves == {
        "train/loss": [[1, 3.0], [5, 2.0], [9, 1.5]],
        "val/map@r": [[5, 0.25], [9, 0.5]],
    }
