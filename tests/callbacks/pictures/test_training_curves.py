"""The curves are read from the figure's axes."""

import csv

import pytorch_lightning as pl

from ranklight.callbacks import TrainingCurves
from ranklight.callbacks.pictures import figures
from ranklight.running import MetricsFile


def test_curves_are_what_was_logged(tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr(figures, "save", lambda figure, name, trainer: drawn.update({name: figure}))
    file = MetricsFile(tmp_path)
    with (tmp_path / "metrics.csv").open("w", newline="") as rows:
        writer = csv.writer(rows)
        writer.writerow(["step", "train/loss", "val/map@r", "lr"])
        writer.writerows([[1, 3.0, "", 0.1], [5, 2.0, 0.25, 0.1], [9, 1.5, 0.5, 0.1]])
    trainer = pl.Trainer(accelerator="cpu", default_root_dir=tmp_path, logger=file)
    TrainingCurves().on_fit_end(trainer, pl.LightningModule())
    curves = {
        axes.get_title(): axes.lines[0].get_xydata().tolist() for axes in drawn["curves"].axes
    }
    assert curves == {
        "train/loss": [[1, 3.0], [5, 2.0], [9, 1.5]],
        "val/map@r": [[5, 0.25], [9, 0.5]],
    }
