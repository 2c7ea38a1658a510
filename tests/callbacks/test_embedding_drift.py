"""How far embeddings move, of a module that moves by one each step."""

import csv

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger
from torch import nn

from ranklight.callbacks import EmbeddingDrift
from ranklight.datamodules import Digits


class Moving(pl.LightningModule):
    """Embeds every image as the number of steps that it was trained for."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Dropout(0.5))
        self.encoder.eval()
        self.moved = nn.Parameter(torch.zeros(1))

    def embed(self, images):
        assert not self.training
        return self.encoder(self.moved.expand(len(images), 1))

    def training_step(self, batch, batch_idx):
        assert self.training
        assert not self.encoder.training
        return -self.moved.sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1.0)


def train(folder, drift, steps, ckpt_path=None):
    logger = CSVLogger(folder, name="", version="")
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=steps,
        logger=logger,
        log_every_n_steps=2,
        callbacks=[drift],
        limit_val_batches=0,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Moving(), datamodule=Digits(samples_per_class=1), ckpt_path=ckpt_path)
    trainer.save_checkpoint(folder / "last.ckpt")
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_lag_is_a_number_of_steps_and_goes_on_after_a_checkpoint(tmp_path):
    rows = train(tmp_path, EmbeddingDrift(lags=[2, 4], every=2, images=3), 6)
    # A row is of the step that it is logged in, from 0.
    found = {(name, row["step"]): row[name] for row in rows for name in row if row[name]}
    two, four = ({k[1]: v for k, v in found.items() if k[0] == f"train/drift@{n}"} for n in (2, 4))
    assert two == {"1": "4.0", "3": "4.0", "5": "4.0"}
    assert four == {"3": "16.0", "5": "16.0"}
    (later := tmp_path / "later").mkdir()
    rows = train(later, EmbeddingDrift(lags=[2, 4], every=2, images=3), 8, tmp_path / "last.ckpt")
    assert [row["train/drift@4"] for row in rows if row["train/drift@4"]] == ["16.0"]


@pytest.mark.parametrize("given", [{"lags": [15]}, {"lags": [0]}, {"images": 0}])
def test_refuses_what_it_cannot_measure(given):
    with pytest.raises(ValueError, match="lags must be multiples of every"):
        EmbeddingDrift(**given)


def test_refuses_training_without_a_data_module(tmp_path):
    trainer = pl.Trainer(accelerator="cpu", max_steps=1, logger=False, callbacks=[EmbeddingDrift()])
    with pytest.raises(ValueError, match="needs a data module"):
        trainer.fit(Moving(), torch.utils.data.DataLoader(torch.zeros(2, 1)))
