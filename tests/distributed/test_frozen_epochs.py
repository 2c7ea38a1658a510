"""A part that rests at first: one process and two end with the same weights."""

import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader

from ranklight.datamodules import Batch, ClassBalanced, TrainLoader
from ranklight.datamodules.loaders import epochs_and_positions
from ranklight.kernels.distributed import rank_and_world_size
from ranklight.lightning_modules import MetricLearning, Rate
from ranklight.losses import ContrastiveLoss
from ranklight.pairs import Objective
from tests.lightning_ranks import on_these_ranks


class Noise(torch.utils.data.Dataset):
    labels = torch.arange(16) % 4
    images = torch.rand(16, 1, 2, 3, generator=torch.Generator().manual_seed(0))

    def __len__(self):
        return 16

    def __getitems__(self, keys):
        _, places = epochs_and_positions(keys)
        return Batch(self.images[places], self.labels[places], torch.tensor(places))


class Data(pl.LightningDataModule):
    def train_dataloader(self) -> DataLoader:
        place = dict(zip(("rank", "world_size"), rank_and_world_size(), strict=True))
        return TrainLoader(Noise(), ClassBalanced(Noise.labels, 4, 2, **place))


def train():
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4))
    module = MetricLearning(
        encoder,
        Objective(ContrastiveLoss()),
        lambda parameters: torch.optim.SGD(parameters, 0.1),
        rates={"encoder.1": Rate(frozen_epochs=1)},
    )
    start = module.encoder[1].weight.clone()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=3,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        **on_these_ranks(),
    )
    trainer.fit(module, datamodule=Data())
    return start, {name: value.clone() for name, value in module.state_dict().items()}


def test_two_processes_thaw_together(run_on_ranks):
    ((start, alone),), ranks = run_on_ranks(train, 1), run_on_ranks(train, 2)
    assert not torch.equal(start, alone["encoder.1.weight"])
    for _, found in ranks:
        torch.testing.assert_close(found, alone)
    assert all(torch.equal(ranks[0][1][name], ranks[1][1][name]) for name in alone)
