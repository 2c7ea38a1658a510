"""The bar's description, through a real fit."""

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from torch.utils.data import DataLoader

from ranklight.running import ProgressBar


class Nothing(LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def training_step(self, batch, index):
        return (self.weight * batch).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Watched(ProgressBar):
    def __init__(self):
        super().__init__()
        self.named = []

    def on_train_epoch_end(self, trainer, pl_module):
        super().on_train_epoch_end(trainer, pl_module)
        self.named += [task.description for task in self.progress.tasks]


@pytest.mark.parametrize(
    ("end", "named"),
    [({"max_steps": 4}, ["Epoch 0", "Epoch 1"]), ({"max_epochs": 2}, ["Epoch 0/1", "Epoch 1/1"])],
)
def test_names_the_last_epoch_only_where_there_is_one(tmp_path, end, named):
    bar = Watched()
    trainer = Trainer(
        default_root_dir=tmp_path,
        accelerator="cpu",
        callbacks=[bar],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        **end,
    )
    trainer.fit(Nothing(), DataLoader(torch.ones(2, 1), batch_size=1))
    assert [name.strip() for name in bar.named] == named
