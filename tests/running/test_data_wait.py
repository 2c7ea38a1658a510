"""How much of training is spent waiting for the next batch."""

import csv
import time

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from torch.utils.data import DataLoader

from ranklight.running import DataWait, MetricsFile


class Slow(LightningModule):
    """A batch takes `read` seconds to make, a step `work` seconds."""

    def __init__(self, read, work):
        super().__init__()
        self.read, self.work = read, work
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch, batch_idx):
        time.sleep(self.work)
        return (self.weight * batch.mean()).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

    def train_dataloader(self):
        def collate(rows):
            time.sleep(self.read)
            return torch.stack(rows)

        return DataLoader([torch.ones(1)] * 12, batch_size=1, collate_fn=collate)


@pytest.mark.parametrize(("read", "work"), [(0.03, 0.0), (0.0, 0.03), (0.02, 0.02)])
def test_the_share_is_that_of_the_time_for_which_batches_were_waited_for(tmp_path, read, work):
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=2,
        callbacks=[DataWait()],
        logger=MetricsFile(tmp_path),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(Slow(read, work))
    with (tmp_path / "metrics.csv").open(newline="") as file:
        shares = [
            float(row["train/data_wait"]) for row in csv.DictReader(file) if row["train/data_wait"]
        ]
    assert len(shares) == 2
    for share in shares:
        assert share == pytest.approx(read / (read + work), abs=0.2)
