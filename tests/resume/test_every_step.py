"""A run that fails at any place and goes on ends like one that never failed: the loops, in detail.

`test_killed.py` does the same to real processes, at random.
"""

import contextlib

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from ranklight.datamodules import (
    Batch,
    ClassBalanced,
    HardClasses,
    Mining,
    TrainLoader,
    evaluation_loader,
)
from ranklight.datamodules.loaders import epochs_and_positions
from ranklight.datamodules.randomness import image_seed
from ranklight.lightning_modules import MetricLearning, Rate
from ranklight.losses import TripletLoss
from ranklight.miners import DistanceWeighted
from ranklight.pairs import CrossBatchMemory, Objective
from ranklight.running import (
    ExactResume,
    ExponentialMovingAverage,
    LastCheckpoint,
    MetricsFile,
)

pytestmark = pytest.mark.usefixtures("as_in_a_run")
SIZE, PER_EPOCH, EPOCHS = 40, 5, 3
STEPS = PER_EPOCH * EPOCHS


class Noise(torch.utils.data.Dataset):
    labels = torch.arange(SIZE) % 8
    indices = torch.arange(SIZE)

    def __len__(self):
        return SIZE

    def __getitems__(self, keys):
        epochs, places = epochs_and_positions(keys)
        seeds = [image_seed(0, *pair) for pair in zip(epochs, places, strict=True)]
        draws = [torch.Generator().manual_seed(seed) for seed in seeds]
        images = torch.stack([torch.rand(1, 2, 3, generator=draw) for draw in draws])
        return Batch(images, self.labels[places], torch.tensor(places))


class Data(pl.LightningDataModule):
    def __init__(self, mined):
        super().__init__()
        self.train = Noise()
        options = {"batches_per_epoch": PER_EPOCH}
        self.train_sampler = (
            HardClasses(Noise.labels, 4, 2, mining=Mining(2, negatives=4), **options)
            if mined
            else ClassBalanced(Noise.labels, 4, 2, **options)
        )

    def train_dataloader(self):
        return TrainLoader(self.train, self.train_sampler)

    def train_as_evaluated(self):
        return evaluation_loader(self.train, 16)

    def val_dataloader(self):
        return evaluation_loader(Noise(), 16)


class Module(MetricLearning):
    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        loss = self.objective(self(batch.images), batch.labels)
        self.log("val/loss", loss, batch_size=len(batch.labels))


def module(rates):
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(6, 8), nn.Dropout(0.2), nn.Linear(8, 4))
    objective = Objective(TripletLoss(), DistanceWeighted(4), CrossBatchMemory(30))
    return Module(
        encoder,
        objective,
        lambda parameters: torch.optim.Adam(parameters, 0.01),
        lambda optimizer: (
            torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
            if rates
            else torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.05, total_steps=STEPS)
        ),
        "step",
        rates,
    )


class FailureError(Exception):
    pass


class Fail(pl.Callback):
    """Fails in a hook at its nth call."""

    def __init__(self, hook, nth):
        self.calls = 0

        def fail(trainer, *_):
            self.calls += not trainer.sanity_checking
            if self.calls == nth:
                raise FailureError

        setattr(self, hook, fail)


def fit(folder, *callbacks, every=1, rates=None, average=False, mined=False, **arguments):
    last = folder / "checkpoints" / "last.ckpt"
    best = pl.callbacks.ModelCheckpoint(
        folder / "checkpoints", "best", "val/loss", enable_version_counter=False
    )
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=MetricsFile(folder),
        default_root_dir=folder,
        callbacks=[
            ExactResume(),
            *([ExponentialMovingAverage(0.6)] if average else []),
            *callbacks,
            best,
            LastCheckpoint(every_n_train_steps=every),
        ],
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        log_every_n_steps=1,
        **arguments,
    )
    pl.seed_everything(1, verbose=False)
    ckpt_path = last if last.exists() else None
    trainer.fit(module(rates), datamodule=Data(mined), ckpt_path=ckpt_path, weights_only=True)


RUNS = {
    "epochs": {"max_epochs": EPOCHS},
    "steps": {"max_steps": STEPS},
    "within epochs": {"max_steps": STEPS, "val_check_interval": 2},
    "across epochs": {
        "max_epochs": EPOCHS,
        "val_check_interval": 4,
        "check_val_every_n_epoch": None,
    },
    "every second epoch": {"max_steps": STEPS, "check_val_every_n_epoch": 2},
    "averaged": {"max_epochs": EPOCHS, "val_check_interval": 2, "average": True},
    "mined": {"max_epochs": EPOCHS, "val_check_interval": 2, "mined": True},
    "frozen at first": {
        "max_epochs": EPOCHS,
        "rates": {"encoder.1": Rate(0.1, frozen_epochs=1)},
    },
    "accumulated": {"max_epochs": EPOCHS, "accumulate_grad_batches": 2, "val_check_interval": 3},
}
FAILURES = {
    "anywhere": [("on_train_batch_start", nth) for nth in (2, 4, 2, 5, 3, 3)],
    "after an epoch": [("on_train_batch_start", 6), ("on_train_batch_start", 6)],
    "around validation": [
        ("on_train_batch_end", 5),
        ("on_validation_batch_end", 2),
        ("on_validation_end", 1),
        ("on_train_epoch_end", 1),
        ("on_train_epoch_start", 1),
        ("on_train_end", 1),
    ],
}


@pytest.fixture(scope="module")
def end(ending):
    def read(run):
        end = ending(run)
        for name in ("last", "best"):
            # The tests' checks of types draw from it.
            del end[f"checkpoints/{name}.ckpt"]["random_states"][0]["python"]
        return end

    return read


@pytest.fixture(scope="module", params=RUNS)
def whole(request, memory_disk, end):
    with memory_disk() as folder:
        fit(folder, **RUNS[request.param])
        return RUNS[request.param], end(folder)


@pytest.mark.parametrize(
    ("failures", "every"),
    [("anywhere", 1), ("anywhere", 3), ("after an epoch", 1), ("around validation", 3)],
)
def test_a_run_that_fails_again_and_again_leaves_no_trace(
    whole, folder, end, assert_equal, failures, every
):
    arguments, expected = whole
    for failure in FAILURES[failures]:
        with contextlib.suppress(FailureError):
            fit(folder, Fail(*failure), every=every, **arguments)
    fit(folder, every=every, **arguments)
    assert_equal(end(folder), expected)
