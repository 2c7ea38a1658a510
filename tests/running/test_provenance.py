import subprocess
import sys

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from ranklight.files.run_records import FILE, read_records
from ranklight.running.provenance import (
    Provenance,
    git_state,
    versions,
    weights_hash,
)


class Data(pl.LightningDataModule):
    split_hash = "0123456789abcdef"
    split_seed = 4

    def train_dataloader(self):
        return torch.utils.data.DataLoader(torch.ones(4, 1), batch_size=2)

    test_dataloader = predict_dataloader = train_dataloader


class Model(pl.LightningModule):
    fails = False

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def training_step(self, batch, batch_idx):
        if self.fails:
            raise RuntimeError("out of luck")
        return self.layer(batch).sum()

    def test_step(self, batch, batch_idx):
        return None

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trainer(folder):
    return pl.Trainer(
        accelerator="cpu",
        max_steps=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        callbacks=[Provenance()],
    )


def test_every_stage_is_a_record(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["ranklight", "fit", "-c", "a recipe.yaml"])
    model, run = Model(), trainer(tmp_path)
    before = weights_hash(model)
    pl.seed_everything(7)
    run.fit(model, datamodule=Data())
    run.test(model, datamodule=Data(), verbose=False)
    fit, test = read_records(tmp_path)
    assert (fit["stage"], test["stage"]) == ("fit", "test")
    assert fit["outcome"] == test["outcome"] == "finished"
    assert fit["weights_hash"] == before
    assert test["weights_hash"] == weights_hash(model) != before
    assert fit["started"] <= fit["ended"] <= test["started"]
    assert fit["seed"] == 7
    assert (fit["split_hash"], fit["split_seed"]) == (Data.split_hash, 4)
    assert fit["world_size"] == 1
    assert fit["versions"] == versions()
    assert fit["versions"]["torch"] == torch.__version__.split("+")[0]
    assert fit["command"] == "ranklight fit -c 'a recipe.yaml'"


def test_it_says_how_it_failed(tmp_path):
    model = Model()
    model.fails = True
    with pytest.raises(RuntimeError, match="out of luck"):
        trainer(tmp_path).fit(model, datamodule=Data())
    (record,) = read_records(tmp_path)
    assert record["outcome"] == "RuntimeError: out of luck"
    assert record["ended"] is not None


def test_ctrl_c_is_a_signal(tmp_path):
    class Interrupted(Model):
        def training_step(self, batch, batch_idx):
            (record,) = read_records(tmp_path)
            assert (record["outcome"], record["ended"]) == ("running", None)
            raise KeyboardInterrupt

    with pytest.raises(SystemExit):
        trainer(tmp_path).fit(Interrupted(), datamodule=Data())
    assert read_records(tmp_path)[0]["outcome"] == "stopped by a signal"


def test_the_commit_and_whether_all_is_committed(tmp_path):
    def git(*words):
        author = ["-c", "user.name=a", "-c", "user.email=a@b"]
        command = ["git", "-C", str(tmp_path), *author, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert git_state(tmp_path) is None
    git("init", "-q")
    (tmp_path / "file").write_text("a")
    git("add", "file")
    git("commit", "-qm", "first")
    assert git_state(tmp_path) == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    (tmp_path / "file").write_text("b")
    assert git_state(tmp_path)["dirty"]


def test_weights_of_other_values_types_or_names_have_another_hash():
    torch.manual_seed(0)
    layer = nn.Linear(2, 2)
    same = nn.Linear(2, 2)
    same.load_state_dict(layer.state_dict())
    assert weights_hash(layer) == weights_hash(same)
    assert weights_hash(layer.double()) != weights_hash(same)
    same.weight.data[0, 0] += 1e-6
    assert weights_hash(same) != weights_hash(layer.float())
    assert weights_hash(nn.Sequential(layer)) != weights_hash(layer)


@pytest.mark.parametrize("text", ["{", "[]", '{"stages": 5}', '{"stages": [{"stage": "fit"}]}'])
def test_a_damaged_file_is_named(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ValueError, match=r"run\.json must hold the stages"):
        read_records(tmp_path)
