"""What rests at first, is mined and averaged: one process and two end with the same weights."""

import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader

from ranklight.datamodules import (
    Batch,
    HardClasses,
    Mining,
    TrainLoader,
    evaluation_loader,
    hardest_negatives,
)
from ranklight.datamodules.loaders import epochs_and_positions
from ranklight.kernels.distributed import rank_and_world_size
from ranklight.lightning_modules import MetricLearning, Rate
from ranklight.losses import ContrastiveLoss
from ranklight.pairs import Objective
from ranklight.running import ExponentialMovingAverage
from ranklight.search import Embedded, shard
from tests.lightning_ranks import on_these_ranks


class Noise(torch.utils.data.Dataset):
    labels, indices = torch.arange(16) % 4, torch.arange(16)
    images = torch.rand(16, 1, 2, 3, generator=torch.Generator().manual_seed(0))

    def __len__(self):
        return 16

    def __getitems__(self, keys):
        _, places = epochs_and_positions(keys)
        return Batch(self.images[places], self.labels[places], torch.tensor(places))


class Data(pl.LightningDataModule):
    def __init__(self):
        super().__init__()
        place = dict(zip(("rank", "world_size"), rank_and_world_size(), strict=True))
        self.train = Noise()
        self.train_sampler = HardClasses(Noise.labels, 2, 2, mining=Mining(negatives=3), **place)

    def train_dataloader(self) -> DataLoader:
        return TrainLoader(self.train, self.train_sampler)

    def train_as_evaluated(self) -> DataLoader:
        return evaluation_loader(self.train, 3)


class Watcher(pl.Callback):
    """The classes of each batch, and what training ends with beside the averages."""

    def __init__(self):
        self.classes = []

    def on_train_batch_end(self, trainer, module, outputs, batch, *_):
        self.classes.append(batch.labels.tolist())

    def on_train_end(self, trainer, module):
        self.learnt = copied(module)


def copied(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def train():
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4))
    module = MetricLearning(
        encoder,
        Objective(ContrastiveLoss()),
        lambda parameters: torch.optim.SGD(parameters, 0.1),
        rates={"encoder.1": Rate(frozen_epochs=1)},
    )
    start, watcher = copied(module), Watcher()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=3,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=[ExponentialMovingAverage(0.5), watcher],
        **on_these_ranks(),
    )
    trainer.fit(module, datamodule=Data())
    return start, watcher.learnt, copied(module), watcher.classes


def test_one_process_and_two_are_alike(run_on_ranks):
    (alone,), ranks = run_on_ranks(train, 1), run_on_ranks(train, 2)
    start, learnt, averages, _ = alone
    name = "encoder.1.weight"
    assert len({each[name].numpy().tobytes() for each in (start, learnt, averages)}) == 3
    for found in ranks:
        torch.testing.assert_close(found[:3], alone[:3])
    for one, other in zip(ranks[0][:3], ranks[1][:3], strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    together = [[*one, *other] for one, other in zip(ranks[0][3], ranks[1][3], strict=True)]
    assert [sorted(each) for each in together] == [sorted(each) for each in alone[3]]


def mine():
    """This rank's share is every so many-th image, in an order of its own."""
    embeddings, labels = Noise.images.flatten(1), Noise.labels
    rank, world_size = rank_and_world_size()
    rows, shards = shard(torch.arange(rank, 16, world_size).flip(0))
    own = torch.arange(rank, 16, world_size).flip(0)[rows]
    return hardest_negatives(Embedded(embeddings[own], labels[own], own, shards), 3, 0.02)


def test_ranks_mine_what_one_process_does(run_on_ranks):
    wanted = hardest_negatives(Embedded(Noise.images.flatten(1), Noise.labels), 3, 0.02)
    assert (wanted == -1).any()
    for found in run_on_ranks(mine, 2):
        assert torch.equal(found, wanted)
