"""What a class was called before is refused by what it is called now."""

import sys
from importlib import import_module

import pytest
import torch
import yaml

from ranklight.__main__ import main
from ranklight.commands.old_names import check_names

RENAMED = {
    "losses.TripletLoss": "ranklight.losses.TripletLoss",
    "models.Encoder": "ranklight.models.Encoder",
    "datamodules.digits.Digits": "ranklight.datamodules.Digits",
    "callbacks.Gallery": "ranklight.callbacks.Gallery",
    "callbacks.LastCheckpoint": "ranklight.running.LastCheckpoint",
    "callbacks.FasterNetwork": "ranklight.running.CompileNetwork",
    "callbacks.StepsBar": "ranklight.running.ProgressBar",
    "experiments.ledger.ConfigLedger": "ranklight.running.SaveConfig",
    "pairs.ClassCentres": "ranklight.pairs.ClassCenters (with centers_per_class",
}
OLD = {"model": {"class_path": "lightning_modules.MetricLearning"}}
REFUSED = "lightning_modules.MetricLearning is ranklight.lightning_modules.MetricLearning now"


@pytest.mark.parametrize("old", RENAMED)
def test_says_what_it_is_called_now(old):
    with pytest.raises(ValueError, match=r"^old\.yaml names") as refused:
        check_names({"loss": [{"class_path": old}]}, "old.yaml")
    assert f"{old} is {RENAMED[old]}" in str(refused.value)


@pytest.mark.parametrize("new", [*RENAMED.values()])
def test_the_new_names_of_all_are_there(new):
    _, room, name = new.split(" ")[0].split(".")
    assert hasattr(import_module(f"ranklight.{room}"), name)


@pytest.mark.parametrize(
    "other",
    [
        "ranklight.losses.TripletLoss",
        "pytorch_metric_learning.losses.TripletMarginLoss",
        "torch.optim.Adam",
        "data/models.Old/file.ckpt",
        "metrics.csv",
    ],
)
def test_all_else_is_nobodys_old_name(other):
    check_names({"file": other}, "new.yaml")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The only one that modules are found in."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "losses"]:
        del sys.modules[name]


@pytest.mark.parametrize("file", ["losses.py", "losses/__init__.py", "losses/mine.py"])
def test_a_package_of_the_users_own_may_be_called_the_same(folder, file):
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).touch()
    check_names({"loss": "losses.mine.Loss"}, "mine.yaml")


def test_a_folder_without_modules_is_nobodys_package(folder):
    (folder / "losses").mkdir()
    with pytest.raises(ValueError, match=r"losses\.Mine is ranklight\.losses\.Mine now"):
        check_names({"loss": "losses.Mine"}, "old.yaml")


@pytest.fixture
def refusal(monkeypatch, capsys):
    def of(*arguments):
        monkeypatch.setattr(sys, "argv", ["ranklight", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert stopped.value.code == 2
        return capsys.readouterr().err

    return of


def test_a_yaml_is_refused(refusal, tmp_path):
    (tmp_path / "old.yaml").write_text(yaml.safe_dump(OLD))
    assert f"old.yaml names what is called otherwise: {REFUSED}" in refusal(
        "fit", "-c", tmp_path / "old.yaml"
    )


def test_an_option_is_refused(refusal):
    assert REFUSED in refusal("fit", "--model", "lightning_modules.MetricLearning")


def test_a_checkpoint_is_refused(refusal, tmp_path):
    torch.save({"config": OLD, "state_dict": {}}, tmp_path / "old.ckpt")
    options = ["-c", "digits/multi_similarity.yaml", "--ckpt_path", tmp_path / "old.ckpt"]
    assert f"old.ckpt names what is called otherwise: {REFUSED}" in refusal("test", *options)
