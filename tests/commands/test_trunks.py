"""Trunks on the command line: continued, taken from another run, and refused before training."""

import copy
import sys

import pytest
import torch
import yaml

from ranklight.__main__ import main
from tests.commands.command_line import build_parsers_once, part
from tests.commands.small_run import CONFIG
from tests.trees import image_folder

TRUNK = part("ranklight.models.TimmTrunk", name="test_vit")


@pytest.fixture
def fit(tmp_path, monkeypatch):
    """Fit a trunk on a folder of pictures of 32 pixels; the weights that it ends with."""
    image_folder(tmp_path / "pictures")
    build_parsers_once(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RANKLIGHT_RUN", "restored after the test")
    few = {"classes_per_batch": 2, "samples_per_class": 2, "num_workers": 0}
    data = {"root": "pictures", "image_size": 32, "resize": 32, **few}

    def run(name, trunk, *options):
        monkeypatch.delenv("RANKLIGHT_RUN")
        config = copy.deepcopy(yaml.safe_load(CONFIG))
        config["model"]["init_args"]["encoder"]["init_args"]["trunk"] = trunk
        config["data"] = part("ranklight.datamodules.ImageFolder", **data)
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
        words = ["ranklight", "fit", "-c", "config.yaml", "--run", name, *options]
        monkeypatch.setattr(sys, "argv", words)
        main()
        file = tmp_path / "runs" / "config" / name / "checkpoints" / "last.ckpt"
        return file, torch.load(file, weights_only=True)["state_dict"]

    return run


def steps(count):
    return ("--trainer.max_steps", str(count), "--trainer.max_epochs", "-1")


def test_low_rank_updates_go_on_where_they_stopped(fit):
    pytest.importorskip("peft", reason="LoRA needs peft, the extra lora")
    trunk = part("ranklight.models.LoRA", trunk=TRUNK, rank=2)
    _, straight = fit("straight", trunk, *steps(4))
    stopped, halfway = fit("stopped", trunk, *steps(2))
    _, continued = fit("stopped", trunk, *steps(4), "--ckpt_path", "last")
    assert stopped.is_file()
    assert straight.keys() == continued.keys()
    for name, value in straight.items():
        assert torch.equal(value, continued[name])
        learns = "lora_" in name or "projection" in name
        assert torch.equal(value, halfway[name]) != learns


def test_a_trunk_takes_the_weights_of_a_run(fit):
    checkpoint, learnt = fit("one", TRUNK, *steps(1))
    taken = part(TRUNK["class_path"], **TRUNK["init_args"], weights=str(checkpoint), freeze="whole")
    _, again = fit("two", taken, *steps(1), "--seed_everything", "9")
    trunk = [name for name in learnt if ".trunk." in name]
    assert trunk
    assert all(torch.equal(learnt[name], again[name]) for name in trunk)
    assert not torch.equal(learnt["encoder.projection.weight"], again["encoder.projection.weight"])


def test_pictures_of_a_wrong_size_are_refused_before_training(fit, capsys):
    trunk = part("ranklight.models.TimmTrunk", name="vit_small_patch14_dinov2")
    with pytest.raises(SystemExit) as stopped:
        fit("wrong", trunk, *steps(1))
    assert stopped.value.code == 2
    assert "cannot take pictures of 32 by 32 pixels: it takes sides such as 28 and 42;" in (
        capsys.readouterr().err
    )
