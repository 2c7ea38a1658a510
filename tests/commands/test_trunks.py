"""Trunks on the command line: continued, taken from a run, scored as they are, refused."""

import copy
import json
import sys

import pytest
import timm
import torch
import yaml
from safetensors.torch import save_file

from ranklight.__main__ import main
from tests.commands.command_line import build_parsers_once, part
from tests.commands.small_run import CONFIG
from tests.trees import image_folder

TRUNK = part("ranklight.models.TimmTrunk", name="test_vit")


@pytest.fixture
def fit(tmp_path, monkeypatch):
    """Fit a trunk on a folder of pictures of 32 pixels; the checkpoint, and its weights."""
    write = prepared(tmp_path, monkeypatch)

    def run(name, trunk, *options):
        write(trunk)
        call(monkeypatch, "fit", name, *options)
        file = tmp_path / "runs" / "config" / name / "checkpoints" / "last.ckpt"
        return file, torch.load(file, weights_only=True)["state_dict"]

    return run


@pytest.fixture
def score(tmp_path, monkeypatch):
    """Test a trunk without training it; the run's record."""
    write = prepared(tmp_path, monkeypatch)

    def run(name, trunk, embedding_dim, *options):
        write(trunk, embedding_dim=embedding_dim)
        call(monkeypatch, "test", name, "--zero_shot", "true", *options)
        return json.loads((tmp_path / "runs" / "config" / name / "run.json").read_text())

    return run


def call(monkeypatch, verb, name, *options):
    monkeypatch.delenv("RANKLIGHT_RUN", raising=False)
    words = ["ranklight", verb, "-c", "config.yaml", "--run", name, *options]
    monkeypatch.setattr(sys, "argv", words)
    main()


def prepared(tmp_path, monkeypatch):
    """Pictures, and what writes the configuration of a trunk on them."""
    image_folder(tmp_path / "pictures")
    build_parsers_once(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RANKLIGHT_RUN", "restored after the test")
    few = {"classes_per_batch": 2, "samples_per_class": 2, "num_workers": 0}
    data = {"root": "pictures", "image_size": 32, "resize": 32, **few}

    def write(trunk, **of_encoder):
        config = copy.deepcopy(yaml.safe_load(CONFIG))
        config["model"]["init_args"]["encoder"]["init_args"] |= {"trunk": trunk, **of_encoder}
        config["data"] = part("ranklight.datamodules.ImageFolder", **data)
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))

    return write


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
    sizes = ("--data.init_args.image_size", "40", "--data.init_args.resize", "40")
    with pytest.raises(SystemExit) as stopped:
        fit("wrong", TRUNK, *steps(1), *sizes)
    assert stopped.value.code == 2
    assert "cannot take pictures of 40 by 40 pixels: it takes sides such as 32 and 48;" in (
        capsys.readouterr().err
    )


def test_pictures_of_other_channels_are_refused_before_training(fit, capsys):
    with pytest.raises(SystemExit) as stopped:
        fit("grey", part("ranklight.models.SmallConvNet"), *steps(1))
    assert stopped.value.code == 2
    assert "set in_channels to 3" in capsys.readouterr().err


def published(tmp_path):
    torch.manual_seed(3)
    file = tmp_path / "vit.safetensors"
    save_file(timm.create_model("test_vit", num_classes=0).state_dict(), file)
    return part(TRUNK["class_path"], **TRUNK["init_args"], tokens="class", weights=str(file))


def test_a_published_trunk_is_scored_without_training(score, tmp_path):
    (record,) = score("as-it-is", published(tmp_path), None)["stages"]
    assert record["stage"] == "test"
    assert record["zero_shot"] is True
    assert record["checkpoint"] is None
    assert 0 <= record["scores"]["test/recall@1"] <= 1


@pytest.mark.parametrize(
    ("projection", "weights", "options", "message"),
    [
        (4, True, (), "encoder.projection.weight, encoder.projection.bias would be drawn"),
        (None, False, (), "encoder.trunk.body.cls_token, "),
        (None, True, ("--ckpt_path", "last"), "it goes with no training and no checkpoint"),
    ],
)
def test_what_needs_training_is_no_zero_shot(
    score, tmp_path, capsys, projection, weights, options, message
):
    trunk = published(tmp_path) if weights else TRUNK
    with pytest.raises(SystemExit) as stopped:
        score("refused", trunk, projection, *options)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err.replace("\n", " ")


def test_a_fit_is_no_zero_shot(fit, capsys):
    with pytest.raises(SystemExit) as stopped:
        fit("refused", TRUNK, "--zero_shot", "true")
    assert stopped.value.code == 2
    assert "it goes with no training and no checkpoint" in capsys.readouterr().err
