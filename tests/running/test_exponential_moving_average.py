"""What is averaged, validated, saved and tested."""

import copy

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from ranklight.running import ExactResume, ExponentialMovingAverage

STEPS = 6


class Module(pl.LightningModule):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
        self.validated, self.trained = [], []

    def training_step(self, batch, batch_idx):
        return self.layers(batch).square().mean()

    def on_train_batch_end(self, *_):
        self.trained.append(copy.deepcopy(self.layers))

    def validation_step(self, batch, batch_idx):
        self.validated.append(copy.deepcopy(self.layers.state_dict()))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.5)

    def train_dataloader(self):
        draw = torch.Generator().manual_seed(0)
        return DataLoader(torch.rand(STEPS * 4, 3, generator=draw), batch_size=4)

    val_dataloader = train_dataloader


def trainer(folder, *callbacks):
    return pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        default_root_dir=folder,
        logger=False,
        callbacks=list(callbacks),
        limit_val_batches=1,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


@pytest.fixture
def run(tmp_path):
    module, average = Module(), ExponentialMovingAverage(0.1)
    start = copy.deepcopy(module.layers)
    saved = pl.callbacks.ModelCheckpoint(tmp_path, "saved")
    trainer(tmp_path, average, saved).fit(module)
    return module, start, torch.load(tmp_path / "saved.ckpt", weights_only=True)


def floats(state):
    return {name: value for name, value in state.items() if value.is_floating_point()}


def test_it_is_torchs_average_where_the_decay_is_small_and_what_is_validated_and_saved(run):
    module, start, checkpoint = run
    peer = AveragedModel(start, multi_avg_fn=get_ema_multi_avg_fn(0.1), use_buffers=False)
    peer.module.load_state_dict(start.state_dict())
    peer.n_averaged += 1
    for each in module.trained:
        peer.update_parameters(each)
    wanted = dict(peer.module.named_parameters())
    state = {name.removeprefix("layers."): v for name, v in checkpoint["state_dict"].items()}
    for name, value in wanted.items():
        for found in (module.validated[-1], state, module.layers.state_dict()):
            torch.testing.assert_close(found[name], value.detach(), rtol=1e-6, atol=1e-7)
        assert not torch.equal(value, module.trained[-1].state_dict()[name])


def test_statistics_are_averaged_and_counts_are_those_of_training(run):
    module, _, checkpoint = run
    mean = "layers.1.running_mean"
    average = torch.zeros(4)
    for step, each in enumerate(module.trained):
        decay = min(0.1, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * each[1].running_mean
    torch.testing.assert_close(checkpoint["state_dict"][mean], average)
    assert checkpoint["state_dict"]["layers.1.num_batches_tracked"] == STEPS


def test_training_goes_on_with_its_own_weights(run):
    module, _, checkpoint = run
    last = module.trained[-1].state_dict()
    for name, value in checkpoint["training_weights"].items():
        assert torch.equal(value, last[name.removeprefix("layers.")])


def test_a_test_loads_the_averages(run, tmp_path):
    *_, checkpoint = run
    module = Module()
    again = trainer(tmp_path, ExponentialMovingAverage(0.1))
    again.validate(module, ckpt_path=tmp_path / "saved.ckpt", verbose=False, weights_only=True)
    for name, value in module.state_dict().items():
        assert torch.equal(value, checkpoint["state_dict"][name])


def test_going_on_without_it_is_refused(run, tmp_path):
    with pytest.raises(ValueError, match=r"keep callbacks\.average"):
        trainer(tmp_path, ExactResume()).fit(
            Module(), ckpt_path=tmp_path / "saved.ckpt", weights_only=True
        )


def test_checkpoints_of_weights_alone_are_refused(tmp_path):
    alone = pl.callbacks.ModelCheckpoint(tmp_path, save_weights_only=True)
    with pytest.raises(ValueError, match="save_weights_only"):
        trainer(tmp_path, ExponentialMovingAverage(), alone).fit(Module())


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_decays_that_cannot_be(decay):
    with pytest.raises(ValueError, match="decay"):
        ExponentialMovingAverage(decay)
