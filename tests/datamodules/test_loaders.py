import os
import subprocess
import sys

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import nn

from ranklight.datamodules import Batch, ClassBalanced, Shuffled, TrainLoader, evaluation_loader
from ranklight.datamodules.loaders import epochs_and_positions
from ranklight.datamodules.randomness import image_seed

SIZE, PER_EPOCH = 61, 7


class Noise(torch.utils.data.Dataset):
    """One random number an image, as an augmentation would draw it."""

    labels = torch.arange(SIZE) % 12

    def __len__(self):
        return SIZE

    def __getitems__(self, keys):
        epochs, positions = epochs_and_positions(keys)
        seeds = [image_seed(0, *pair) for pair in zip(epochs, positions, strict=True)]
        images = torch.tensor([float(seed % 2**20) for seed in seeds]).view(-1, 1, 1, 1)
        return Batch(images, self.labels[positions], torch.tensor(positions))


class Data(pl.LightningDataModule):
    def __init__(self, num_workers=0, seed=0):
        super().__init__()
        self.num_workers, self.seed = num_workers, seed

    def train_dataloader(self):
        dataset = Noise()
        sampler = ClassBalanced(dataset.labels, 4, 2, self.seed, batches_per_epoch=PER_EPOCH)
        return TrainLoader(dataset, sampler, self.num_workers)

    def val_dataloader(self):
        return evaluation_loader(Noise(), 16, self.num_workers)


class Recorder(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.seen = []

    def training_step(self, batch, batch_idx):
        self.seen.append((self.current_epoch, batch_idx, *batch.index.tolist(), batch.images.sum()))
        return self.weight.sum()

    def validation_step(self, batch, batch_idx):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def fit(folder, data, callback=None, **arguments):
    recorder = Recorder()
    ckpt_path = arguments.pop("ckpt_path", None)
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        default_root_dir=folder,
        callbacks=[callback] if callback else [],
        enable_checkpointing=callback is not None,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        **({"max_epochs": 3} | arguments),
    )
    trainer.fit(recorder, datamodule=data, ckpt_path=ckpt_path, weights_only=True)
    return recorder.seen


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return fit(tmp_path_factory.mktemp("whole"), Data())


def test_the_trainer_sets_the_epoch(uninterrupted):
    sampler = ClassBalanced(Noise.labels, 4, 2, batches_per_epoch=PER_EPOCH)
    expected = np.concatenate([sampler.batches(epoch, 0, PER_EPOCH) for epoch in range(3)])
    assert [seen[:2] for seen in uninterrupted] == [(e, b) for e in range(3) for b in range(7)]
    np.testing.assert_array_equal([seen[2:-1] for seen in uninterrupted], expected)


def test_augmentation_follows_the_epoch(uninterrupted):
    for epoch, _, *index, total in uninterrupted:
        assert total == sum(image_seed(0, epoch, i) % 2**20 for i in index)


def test_workers_change_nothing(uninterrupted, tmp_path):
    assert fit(tmp_path, Data(num_workers=2)) == uninterrupted


def test_an_epoch_cut_short_does_not_leak_into_the_next(uninterrupted, tmp_path):
    for workers in (0, 2):
        seen = fit(tmp_path, Data(workers), limit_train_batches=3)
        assert seen == [batch for batch in uninterrupted if batch[1] < 3]


@pytest.mark.parametrize("stop", range(1, 3 * PER_EPOCH))
def test_a_run_goes_on_from_any_step(uninterrupted, tmp_path, stop):
    keep = ModelCheckpoint(tmp_path, save_top_k=-1, every_n_train_steps=1, filename="{step}")
    first = fit(tmp_path, Data(), keep, max_steps=stop, max_epochs=-1)
    second = fit(tmp_path, Data(), ckpt_path=tmp_path / f"step={stop}.ckpt")
    assert first + second == uninterrupted


@pytest.mark.parametrize(("before", "after"), [(2, 2), (2, 0), (0, 2), (2, 1)])
@pytest.mark.parametrize("stop", [3, 10])
def test_a_run_goes_on_with_any_number_of_workers(uninterrupted, tmp_path, before, after, stop):
    keep = ModelCheckpoint(tmp_path, save_top_k=-1, every_n_train_steps=1, filename="{step}")
    first = fit(tmp_path, Data(before), keep, max_steps=stop, max_epochs=-1)
    second = fit(tmp_path, Data(after), ckpt_path=tmp_path / f"step={stop}.ckpt")
    assert first + second == uninterrupted


@pytest.mark.parametrize("on_train_epoch_end", [True, False])
def test_a_run_goes_on_from_the_end_of_an_epoch(uninterrupted, tmp_path, on_train_epoch_end):
    keep = ModelCheckpoint(
        tmp_path, save_top_k=-1, filename="{epoch}", save_on_train_epoch_end=on_train_epoch_end
    )
    first = fit(tmp_path, Data(), keep, max_epochs=2)
    second = fit(tmp_path, Data(), ckpt_path=tmp_path / "epoch=1.ckpt")
    assert first + second == uninterrupted


def test_a_run_goes_on_from_a_validation_within_an_epoch(uninterrupted, tmp_path):
    keep = ModelCheckpoint(tmp_path, save_top_k=-1, save_on_train_epoch_end=False)
    keep.filename = "{step}"
    first = fit(tmp_path, Data(), keep, val_check_interval=3, max_steps=10, max_epochs=-1)
    second = fit(tmp_path, Data(), ckpt_path=tmp_path / "step=10.ckpt", val_check_interval=3)
    assert first + second == uninterrupted


def test_a_checkpoint_of_other_batches_is_refused(tmp_path):
    keep = ModelCheckpoint(tmp_path, every_n_train_steps=1, filename="last")
    fit(tmp_path, Data(), keep, max_steps=3)
    with pytest.raises(ValueError, match="seed was 0 and is 1"):
        fit(tmp_path, Data(seed=1), ckpt_path=tmp_path / "last.ckpt")


def test_the_state_counts_batches_handed_out_and_not_those_fetched_ahead():
    loader = TrainLoader(Noise(), Shuffled(SIZE, 4), num_workers=2)
    batches = iter(loader)
    for _ in range(3):
        next(batches)
    assert (loader.state_dict()["epoch"], loader.state_dict()["position"]) == (0, 3)
    rest = [batch.index.tolist() for batch in batches]
    sampler = Shuffled(SIZE, 4)
    assert rest == sampler.batches(0, 3, 15).tolist()


def test_loaders_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    for loader in (TrainLoader(Noise(), Shuffled(SIZE, 4)), evaluation_loader(Noise(), 8)):
        assert len(list(loader)) == len(loader)
    assert torch.equal(torch.get_rng_state(), before)


def own_indices(batch_size):
    shard = torch.cat([batch.index for batch in evaluation_loader(Noise(), batch_size)])
    rank, world_size = dist.get_rank(), dist.get_world_size()
    sampler = ClassBalanced(Noise.labels, 4, 2, 0, "repeat", None, rank, world_size)
    return shard.tolist(), [batch.index.tolist() for batch in TrainLoader(Noise(), sampler)]


def test_ranks_evaluate_every_image_once_and_share_each_batch(run_on_ranks):
    results = run_on_ranks(own_indices, 2, 7)
    shards, batches = zip(*results, strict=True)
    assert sorted(index for shard in shards for index in shard) == list(range(SIZE))
    sampler = ClassBalanced(Noise.labels, 4, 2)
    shared = np.stack(batches, axis=2).reshape(len(sampler), -1)
    np.testing.assert_array_equal(shared, sampler.batches(0, 0, len(sampler)))


OPEN_AT_THE_END = """
import os, signal
import torch
from ranklight.datamodules import Digits
data = Digits(2, 2, num_workers=1)
data.setup()
kept = [iter(data.train_dataloader()), iter(data.val_dataloader())]
for batches in kept:
    next(batches)
deaf = kept[1].gi_frame.f_locals["batches"]._workers[0].pid
os.kill(deaf, signal.SIGSTOP)
print("the end", deaf, flush=True)
"""


def test_a_process_ends_with_loaders_that_were_not_read_to_their_end():
    command = [sys.executable, "-c", OPEN_AT_THE_END]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    words, _, deaf = ended.stdout.rpartition(" ")
    assert words == "the end"
    with pytest.raises(ProcessLookupError):
        os.kill(int(deaf), 0)
